"""The mesh of a stack is planned once, whoever needs the plan."""

from __future__ import annotations

import pytest

from components.config.load import parse_and_plan
from components.config.mesh import IstioSettings
from components.config.validate import remarks
from components.dashboards import routes
from components.istio import istio_operator
from components.istio.istio_operator import ControlPlanePlan
from tests.project import stack_config


def test_settings_remarks_and_dashboards_go_by_one_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ControlPlanePlan] = []
    real = istio_operator.plan

    def counted(istio: IstioSettings) -> ControlPlanePlan:
        made.append(real(istio))
        return made[-1]

    monkeypatch.setattr(istio_operator, "plan", counted)
    config = stack_config("walkthrough") | {"password": "set", "kialiPassphrase": "set"}
    config["dashboards"] = {"way": "gateway", "hosts": {"grafana": "grafana.example.com", "kiali": "kiali.example.com"}}
    settings, plan = parse_and_plan(config, "walkthrough")
    assert plan.mesh is not None
    assert settings.dashboards is not None
    assert list(remarks(settings, plan, config)) == []
    assert set(routes.urls(settings.dashboards, plan.mesh)) == {"grafana", "kiali"}
    assert made == [plan.mesh]
