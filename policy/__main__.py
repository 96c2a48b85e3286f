"""The pack as Pulumi runs it: `pulumi preview --policy-pack policy`. The rules themselves are in policy/rules.py."""

from __future__ import annotations

import sys
from pathlib import Path

# Pulumi starts the pack with this folder as the only place of its own on the module path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pulumi_policy import EnforcementLevel, PolicyPack, StackValidationArgs, StackValidationPolicy

from policy import rules


def _policy(rule: rules.Rule) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: rules.Report) -> None:
        graph = [
            rules.Resource(
                urn=resource.urn,
                type=resource.resource_type,
                name=resource.name,
                inputs=resource.props,
                secret_outputs=tuple(resource.opts.additional_secret_outputs),
            )
            for resource in args.resources
        ]
        rule.judge(graph, report)

    level = EnforcementLevel.MANDATORY if rule.mandatory else EnforcementLevel.ADVISORY
    return StackValidationPolicy(rule.name, rule.description, validate, level)


PolicyPack("sealos-istio", policies=[_policy(rule) for rule in rules.RULES])
