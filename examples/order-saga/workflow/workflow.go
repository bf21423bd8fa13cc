// Package workflow holds the definitions of the order saga.
package workflow

import "embed"

// Names of the workflow of an order, and what order.yaml names.
const (
	// Namespace the workflows live in: they ask for no other.
	Namespace = "default"
	// Name is the workflow of an order.
	Name = "order-saga"
	// Role of the people who approve large orders, and who are asked whether a lost call happened.
	Role = "fulfilment"
	// Placed is the type of the event that starts an order.
	Placed = "order.placed"
	// Fulfilled is the type of the event that tells of one that is all there.
	Fulfilled = "order.fulfilled"
)

// Files are the definitions.
//
//go:embed *.yaml
var Files embed.FS

// Order is the order in which they are registered: what others call comes first.
var Order = []string{"shipping.yaml", "order.yaml"}
