"""Names of heads and solvers, apart from the heads, whose imports take a second."""

from typing import Literal

HeadName = Literal["logistic", "svm", "knn"]
Solver = Literal["auto", "exact", "fast"]
