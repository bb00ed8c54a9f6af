import subprocess
import sys

SCRIPT = """
import sys
import torch
disable = torch.compiler.disable
import histo_ray.encoders.torch_encoder
import timm
assert "torch._dynamo" not in sys.modules, "the compiler was loaded"
assert torch.compiler.disable is disable
network = timm.create_model("naflexvit_base_patch16_gap", num_classes=0, depth=1).eval()
with torch.inference_mode():
    print(network(torch.zeros(1, 3, 32, 32)).shape[-1])
compiled = torch.compile(lambda x: x + 1, backend="eager")
assert compiled(torch.ones(2)).tolist() == [2, 2]
from torch._dynamo.utils import is_compile_supported
import torchvision
assert isinstance(is_compile_supported("cpu"), bool)
assert is_compile_supported.__module__ == "torch._dynamo.utils"
"""


def test_an_encoder_starts_without_the_compiler_which_loads_whole_when_it_is_asked_for() -> None:
    answer = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "768\n"
