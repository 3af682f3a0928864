"""The options of a job: what a kernelspec may ask for under a site's configuration."""

from __future__ import annotations

from typing import Any

import pytest

from spack_kernel.jupyter.errors import JobRefusedError
from spack_kernel.jupyter.slurm import job_options, option_of


@pytest.mark.parametrize(
    ("given", "site", "words"),
    [
        ({}, {}, []),
        (
            {"partition": "gpu", "time": "1:00:00", "gres": "gpu:1", "exclusive": True},
            {},
            ["--partition=gpu", "--time=1:00:00", "--gres=gpu:1", "--exclusive"],
        ),
        ({"ntasks": 4, "comment": "a b; $(c)"}, {}, ["--ntasks=4", "--comment=a b; $(c)"]),
        ({"time": "10"}, {"defaults": {"time": "5", "mem": "1G"}}, ["--time=10", "--mem=1G"]),
        ({"mem": False}, {"defaults": {"mem": "1G", "time": "5"}}, ["--time=5"]),
        ({"time": ""}, {"defaults": {"time": "5"}, "limits": {"time": "10"}}, ["--time=5"]),
        ({"time": False}, {"limits": {"time": "10"}}, ["--time=10"]),
        ({}, {"limits": {"time": "10", "mem": "1G"}}, ["--time=10"]),
        ({}, {"limits": {"partition": ["cpu", "gpu"]}}, ["--partition=cpu"]),
        (
            {"partition": "gpu,cpu"},
            {"limits": {"partition": ["cpu", "gpu"]}},
            ["--partition=gpu,cpu"],
        ),
        ({"account": "a"}, {"locked": {"account": "a"}}, ["--account=a"]),
        ({"account": False}, {"locked": {"account": "a"}}, ["--account=a"]),
        ({"time": "8:00:00"}, {"limits": {"time": "8:00:00"}}, ["--time=8:00:00"]),
        ({"time": "480"}, {"limits": {"time": "8:00:00"}}, ["--time=480"]),
        ({"mem": "2000"}, {"limits": {"mem": "2G"}}, ["--mem=2000"]),
        ({"gres": "gpu:a100:2"}, {"limits": {"gres": 2}}, ["--gres=gpu:a100:2"]),
        ({"nodes": "1-4"}, {"limits": {"nodes": 4}}, ["--nodes=1-4"]),
    ],
)
def test_words(given: dict[str, Any], site: dict[str, Any], words: list[str]) -> None:
    assert job_options(given, **site).words() == words


def test_a_kernel_in_a_job_that_exists_asks_for_what_a_step_can_have() -> None:
    options = job_options({"time": "5"}, defaults={"partition": "gpu"})
    options.refuse_for_step({"time": "5", "partition": False})
    with pytest.raises(JobRefusedError, match="cannot have the option `partition`"):
        options.refuse_for_step({"partition": "gpu"})


def test_a_step_gets_only_what_a_step_can_have() -> None:
    options = job_options({"partition": "gpu", "mem": "1G", "account": "a"})
    assert options.words(step=True) == ["--mem=1G"]


@pytest.mark.parametrize(
    ("given", "site", "told"),
    [
        ({"partiton": "a"}, {}, "Did you mean `partition`?"),
        # sbatch would accept these abbreviations, and so what the site has locked.
        ({"acc": "b"}, {"locked": {"account": "a"}}, "has no option `acc`"),
        ({"tim": "9-0"}, {"limits": {"time": "1"}}, "has no option `tim`"),
        ({"wrap": "rm -rf x"}, {}, "cannot set the option `wrap`"),
        ({"output": "/x"}, {}, "cannot set the option `output`"),
        ({"export": "ALL"}, {}, "cannot set the option `export`"),
        ({"array": "1-9"}, {}, "cannot set the option `array`"),
        ({"uid": "0"}, {}, "has no option `uid`"),
        ({"account": "b"}, {"locked": {"account": "a"}}, "the site sets the option `account`"),
        ({"partition": "cpu,debug"}, {"limits": {"partition": ["cpu"]}}, "'debug' as `partition`"),
        ({"time": "8:00:01"}, {"limits": {"time": "8:00:00"}}, "at most 8:00:00 as `time`"),
        ({"time": "1-0"}, {"limits": {"time": "8:00:00"}}, "asked for: 1-0"),
        ({"time": "UNLIMITED"}, {"limits": {"time": "8:00:00"}}, "asked for: UNLIMITED"),
        ({"time": "0"}, {"limits": {"time": "8:00:00"}}, "asked for: 0"),
        ({"time": "0:00"}, {"limits": {"time": "8:00:00"}}, "asked for: 0:00"),
        ({"mem": 0}, {"limits": {"mem": "2G"}}, "asked for: 0"),
        ({"mem": "0G"}, {"limits": {"mem": "2G"}}, "asked for: 0G"),
        ({}, {"limits": {"tme": "1"}}, "Did you mean `time`?"),
        ({"time": "soon"}, {"limits": {"time": "8:00:00"}}, "is no amount: 'soon'"),
        ({"mem": "3G"}, {"limits": {"mem": "2048"}}, "at most 2048 as `mem`"),
        ({"gres": "gpu:4"}, {"limits": {"gres": 2}}, "at most 2 as `gres`"),
        ({"nodes": "1-8"}, {"limits": {"nodes": 4}}, "at most 4 as `nodes`"),
        ({"mem": ["1G"]}, {}, "is not text: ['1G']"),
        ({"comment": "a\nb"}, {}, "control character"),
        ({"time": "1"}, {"limits": {"time": "long"}}, "Tell the administrators"),
        ({}, {"defaults": {"parttition": "a"}}, "which the configuration sets"),
    ],
)
def test_refused(given: dict[str, Any], site: dict[str, Any], told: str) -> None:
    with pytest.raises(JobRefusedError) as caught:
        job_options(given, **site)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("partition=gpu", ("partition", "gpu")),
        ("--time=1:00:00", ("time", "1:00:00")),
        ("exclusive", ("exclusive", True)),
        ("comment=a=b", ("comment", "a=b")),
    ],
)
def test_option_of(text: str, option: tuple[str, object]) -> None:
    assert option_of(text) == option
