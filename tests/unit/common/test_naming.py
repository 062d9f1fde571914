from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from common import naming
from infra.sections.types import ModelName, RegistryAddress

MODEL_NAMES = st.from_regex(r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", fullmatch=True)
LABEL = re.compile(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")


@given(MODEL_NAMES)
def test_kubernetes_accepts_the_cron_job_name_of_every_model_name(workload):
    assert TypeAdapter(ModelName).validate_python(workload) == workload, "the strategy must generate names that settings accept"
    name = naming.cron_job(workload)
    assert len(name) <= naming.CRON_JOB_LIMIT, "Kubernetes refuses longer CronJob names"
    assert LABEL.match(name)


@given(MODEL_NAMES, MODEL_NAMES)
def test_different_workloads_never_share_a_name(one, other):
    if one != other:
        assert naming.cron_job(one) != naming.cron_job(other)
        assert naming.serving_repository("registry", one) != naming.serving_repository("registry", other)


@given(MODEL_NAMES)
def test_a_release_image_is_pulled_by_digest(workload):
    digest = "sha256:" + "9f" * 32
    image = naming.serving_image("localhost:5000", workload, digest)
    assert image == f"localhost:5000/{workload}-serving@{digest}", "a tag could move"
    TypeAdapter(RegistryAddress).validate_python(naming.serving_repository("localhost:5000", workload))
