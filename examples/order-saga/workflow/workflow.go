// Package workflow holds the definitions of the order saga.
package workflow

import "embed"

// Files are the definitions.
//
//go:embed *.yaml
var Files embed.FS

// Order is the order in which they are registered: what others call comes first.
var Order = []string{"shipping.yaml", "order.yaml"}
