"""What the dashboards' commands run: `python3 -m components.dashboards VERB`, with a request as JSON on standard input."""

from __future__ import annotations

import sys

import components.interpreter  # noqa: F401  # before what needs a library
from components.dashboards.check_probe import CheckRequest, check
from components.dashboards.made import CertificatesRequest, HtpasswdRequest, htpasswd, xds_certificates
from components.driver import Verb, drive
from components.images import ImagesRequest, load_images

VERBS = {
    "check": Verb(CheckRequest, check, "wait until every way in leads to a dashboard, or say which doesn't"),
    "htpasswd": Verb(HtpasswdRequest, htpasswd, "make the line of a password file"),
    "load-images": Verb(ImagesRequest, load_images, "load Contour's images on the nodes that run them, where missing"),
    "xds-certificates": Verb(CertificatesRequest, xds_certificates, "make what Envoy and Contour trust each other by"),
}

if __name__ == "__main__":
    sys.exit(drive("python3 -m components.dashboards", VERBS))
