package core

import "time"

// receipts is the queue of finished attempts, oldest first.
type receipts struct {
	queue []receipt
	bytes int
}

type receipt struct {
	id    AttemptID
	entry *entry
}

// receiptCost is about what a receipt takes beside its output and message.
const receiptCost = 400

func (r *receipts) add(id AttemptID, e *entry) {
	r.queue = append(r.queue, receipt{id: id, entry: e})
	r.bytes += cost(e)
}

// evict drops the oldest receipts until the rest is within the limits, and names each to drop.
func (r *receipts) evict(limits Limits, now time.Time, drop func(AttemptID)) {
	for len(r.queue) > 0 {
		oldest := r.queue[0]
		if len(r.queue) <= limits.Receipts && r.bytes <= limits.ReceiptBytes && now.Sub(oldest.entry.finished) < limits.ReceiptAge {
			return
		}
		r.bytes -= cost(oldest.entry)
		r.queue[0] = receipt{}
		r.queue = r.queue[1:]
		drop(oldest.id)
	}
}

func cost(e *entry) int {
	return receiptCost + len(e.result.Output) + len(e.result.Message)
}
