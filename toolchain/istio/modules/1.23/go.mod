module sealos-istio/tools/istio-1.23

go 1.22.0

require istio.io/istio v0.0.0-20240917190016-da0b3f29e9f9

replace github.com/imdario/mergo => github.com/imdario/mergo v0.3.5

// what Go 1.26 and this network need
replace (
	// the module proxy lacks the commit that this Istio pins; the release's own tag stands in
	istio.io/client-go => istio.io/client-go v1.23.2
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
