module sealos-istio/tools/istio-1.19

go 1.22.0

require istio.io/istio v0.0.0-20230901023555-3b3ca8ec1632

exclude k8s.io/kubernetes v1.13.0
replace github.com/imdario/mergo => github.com/imdario/mergo v0.3.5

// the commit named there can't be had any more: the release's own tag
replace istio.io/api => istio.io/api v1.19.0
replace istio.io/client-go => istio.io/client-go v1.19.0

// what Go 1.26 and this network need
replace (
	github.com/json-iterator/go => github.com/json-iterator/go v1.1.12
	github.com/modern-go/reflect2 => github.com/modern-go/reflect2 v1.0.2
	golang.org/x/crypto => golang.org/x/crypto v0.31.0
	golang.org/x/net => golang.org/x/net v0.33.0
	golang.org/x/sync => golang.org/x/sync v0.10.0
	golang.org/x/sys => golang.org/x/sys v0.30.0
	golang.org/x/text => golang.org/x/text v0.21.0
	golang.org/x/tools => golang.org/x/tools v0.28.0
	vbom.ml/util => github.com/fvbommel/util v0.0.2
)
