package core

import "time"

// Limits bound what the gateway keeps and how long it waits. Each zero value stands for its default.
type Limits struct {
	// DefaultDeadline is the time of an attempt or a direct call that names none. Default 60s.
	DefaultDeadline time.Duration
	// ReceiptAge is how long a result is kept after it came. Default 10m.
	ReceiptAge time.Duration
	// Receipts is the most results kept. Default 50,000.
	Receipts int
	// ReceiptBytes is the most bytes of results kept. Default 64 MiB.
	ReceiptBytes int
	// Remembered is how many attempts are known as seen or refused before the oldest are forgotten; up to twice as many are kept, at
	// about 20 bytes each. Default 500,000.
	Remembered int
	// MaxOutput is the largest output of a tool, in bytes. Default 3 MiB, which fits into a gRPC message of 4 MiB.
	MaxOutput int
	// CatalogueAge is how long the list of a server's tools is believed when the server does not tell of changes. Default 10m.
	CatalogueAge time.Duration
	// ListTimeout bounds the reading of a server's tools. Default 10s.
	ListTimeout time.Duration
}

// withDefaults returns the limits with every zero value filled in.
func (l Limits) withDefaults() Limits {
	fill(&l.DefaultDeadline, time.Minute)
	fill(&l.ReceiptAge, 10*time.Minute)
	fill(&l.Receipts, 50_000)
	fill(&l.ReceiptBytes, 64<<20)
	fill(&l.Remembered, 500_000)
	fill(&l.MaxOutput, 3<<20)
	fill(&l.CatalogueAge, 10*time.Minute)
	fill(&l.ListTimeout, 10*time.Second)
	return l
}

func fill[T int | time.Duration](value *T, standard T) {
	if *value <= 0 {
		*value = standard
	}
}
