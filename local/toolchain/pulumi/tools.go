//go:build tools

// Package tools pins the Pulumi CLI, so that `go build` makes exactly the version that go.sum names.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
