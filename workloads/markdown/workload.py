"""The declaration of `markdown`: weekly demand of orange juice per store and brand, and the price with the highest earnings."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from workloads.declaration import Resources, Serving, Source, Step, Training, Workload, read_approvers
from workloads.gate import Gate, Regression, Rule

MARKDOWN = Workload(
    name="markdown",
    owner="pricing@example.com",
    description="Weekly units of 11 orange juices in 83 Dominick's stores at a planned price, and the most profitable price.",
    source=Source(
        file="orangeJuice.rda",
        fingerprint="sha256:4418b33f320a1e91124e934d4c7e3e978812e9c60b6924037447ffc44cf71855",
        # Dominick's week 1 is 14 to 20 September 1989 (Dominick's Data Manual, Kilts Center for Marketing, table of weeks), and
        # the last week of the panel is week 160, which ends 159 weeks after 20 September 1989.
        until=date(1992, 10, 7),
        origin="Debian package r-cran-bayesm 3.1-5+dfsg-1, /usr/lib/R/site-library/bayesm/data/orangeJuice.rda",
    ),
    steps=(
        Step(
            name="source",
            summary="read the panel and verify its fingerprint",
            run="workloads.markdown.steps.source:run",
            evidence=True,
        ),
        Step(
            name="prepare",
            summary="units, prices and deals per store, brand and week",
            run="workloads.markdown.steps.prepare:run",
            evidence=True,
        ),
        Step(
            name="features", summary="requests and their features", run="workloads.markdown.steps.assemble:run", evidence=True
        ),
        Step(name="train", summary="fit the model to weeks up to 148", run="workloads.markdown.steps.train:run"),
        Step(
            name="optimise",
            summary="the price with the best earnings, per store and brand",
            run="workloads.markdown.steps.optimise:run",
        ),
        Step(
            name="backtest",
            summary="compare the model with the baselines on weeks 149 to 160",
            run="workloads.markdown.steps.backtest:run",
            evidence=True,
        ),
        Step(name="log", summary="log model and evidence to the tracking server", run="workloads.markdown.steps.register:run"),
    ),
    # No rule on the age of the data (`Age`): the panel ends in 1992, so any useful bound would refuse every version.
    gate=Gate(
        rules=(
            Rule(metric="wape", at_most=0.42),
            Rule(metric="wape", at_most=0.8, of="wape_mean8"),
            Rule(metric="wape", at_most=0.6, of="wape_last_week"),
            Rule(metric="wape_worst_brand", at_most=0.75),
            Rule(metric="wape_worst_store", at_most=0.7),
            # The model predicts the median, which is below the mean. So a small negative bias is expected, but not a fifth.
            Rule(metric="bias", at_least=-0.2),
            Rule(metric="bias", at_most=0.1),
            Rule(metric="weeks", at_least=12),
            Regression(metric="wape", at_most=1.02),
        )
    ),
    training=Training(
        resources=Resources(cpu="500m", memory="3Gi", cpu_limit="2"),
        deadline_seconds=1800,
        scratch="2Gi",
    ),
    serving=Serving(resources=Resources(cpu="100m", memory="384Mi", cpu_limit="1")),
    approvers=read_approvers(Path(__file__).parent),
)
