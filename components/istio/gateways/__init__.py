"""The IstioOperator's gateways and components in a form that Istio's operator carries out: specs makes it, of overlays, ports and host network."""
