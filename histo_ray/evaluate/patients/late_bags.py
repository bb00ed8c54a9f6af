"""Functions of `bag_units` under their names, for callers that may have no head on bags.

That module trains networks: it is imported, and torch with it, at the first call.
"""

from histo_ray.deferred import deferred

columns_of = deferred("histo_ray.evaluate.patients.bag_units:columns_of")
fold_piece_name = deferred("histo_ray.evaluate.patients.bag_units:fold_piece_name")
join_folds = deferred("histo_ray.evaluate.patients.bag_units:join_folds")
list_unfinished = deferred("histo_ray.evaluate.patients.bag_units:list_unfinished")
list_unit_targets = deferred("histo_ray.evaluate.patients.bag_units:list_unit_targets")
make_bag_job = deferred("histo_ray.evaluate.patients.bag_units:make_bag_job")
