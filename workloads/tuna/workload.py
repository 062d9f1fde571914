"""The declaration of `tuna`: a forecast of the cans that a chain will sell in one to four weeks, to order them."""

from __future__ import annotations

from pathlib import Path

from workloads.declaration import Resources, Serving, Source, Step, Training, Workload, read_approvers
from workloads.gate import Gate, Regression, Rule

TUNA = Workload(
    name="tuna",
    owner="replenishment@example.com",
    description="Weekly cans of 7 brands of tuna that a chain of stores will sell, one to four weeks ahead, given the plan.",
    source=Source(
        file="tuna.rda",
        fingerprint="sha256:18b3b4f4a8a95b63086b5eeb092679c0cc5d27761ba8a2976b11f94bff92cde6",
        origin="Debian package r-cran-bayesm 3.1-5+dfsg-1, /usr/lib/R/site-library/bayesm/data/tuna.rda",
    ),
    steps=(
        Step(
            name="source",
            summary="read the weekly sales and verify their fingerprint",
            run="workloads.tuna.steps.source:run",
            evidence=True,
        ),
        Step(
            name="features",
            summary="requests, with the data known one to four weeks before",
            run="workloads.tuna.steps.history:run",
            evidence=True,
        ),
        Step(name="train", summary="fit the model to weeks up to 295", run="workloads.tuna.steps.train:run"),
        Step(
            name="backtest",
            summary="compare the model with the baselines on weeks 296 to 398",
            run="workloads.tuna.steps.backtest:run",
            evidence=True,
        ),
        Step(name="log", summary="log model and evidence to the tracking server", run="workloads.tuna.steps.register:run"),
    ),
    gate=Gate(
        rules=(
            Rule(metric="wape", at_most=0.45),
            Rule(metric="wape", at_most=0.8, of="wape_median13"),
            Rule(metric="wape", at_most=0.6, of="wape_last_week"),
            Rule(metric="wape_worst_ahead", at_most=1.1, of="wape"),
            Rule(metric="wape_worst_plan", at_most=0.62),
            Rule(metric="wape_worst_brand", at_most=0.65),
            Rule(metric="bias", at_least=-0.25),
            Rule(metric="bias", at_most=0.1),
            Rule(metric="weeks", at_least=52),
            Regression(metric="wape", at_most=1.05),
        )
    ),
    training=Training(resources=Resources(cpu="250m", memory="1Gi", cpu_limit="1"), deadline_seconds=600, scratch="512Mi"),
    serving=Serving(resources=Resources(cpu="100m", memory="384Mi", cpu_limit="1")),
    approvers=read_approvers(Path(__file__).parent),
)
