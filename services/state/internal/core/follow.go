package core

import "context"

// What one part of a followed log holds at most.
const (
	logPageEvents   = 256
	maxLogPageBytes = 1 << 20
)

// Follow says what is followed and until when.
type Follow struct {
	LogFilter
	// After is the cursor of the last event that the follower has. 0: it has none.
	After uint64
	// OnlyNew begins with the next event that is appended.
	OnlyNew bool
	// Stop and Drain end it when one of them is closed. Nil: never.
	Stop, Drain <-chan struct{}
}

// FollowLog sends events from a cursor on, in order and without leaving one out, first those that are stored and then new ones, until
// ctx ends (its error), it is to stop or the store is closed (Draining), or send fails (its error). The first part is empty: from then on
// nothing is missed. A part without events only moves the cursor on.
func FollowLog(ctx context.Context, store EventStore, f Follow, send func(LogPage) error) error {
	watch := store.WatchLog(f.LogFilter)
	defer watch.Stop()
	cursor := f.After
	if f.OnlyNew {
		cursor = watch.Start()
	}
	if err := send(LogPage{Cursor: cursor}); err != nil {
		return err
	}
	for {
		page, err := nextPage(ctx, store, watch, cursor)
		if err != nil {
			return err
		}
		if len(page.Events) > 0 || page.Gap || page.Cursor > cursor {
			if err := send(page); err != nil {
				return err
			}
		}
		cursor = page.Cursor
		if !page.Complete {
			continue
		}
		select {
		case _, open := <-watch.Notes():
			if !open {
				return Draining()
			}
		case <-f.Stop:
			return Draining()
		case <-f.Drain:
			return Draining()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// nextPage takes what is at hand, else reads the store. To wait after the store's last page is safe: what was appended since the watch
// began is noted.
func nextPage(ctx context.Context, store EventStore, watch *LogWatch, cursor uint64) (LogPage, error) {
	if page, ok := watch.Recent(cursor, logPageEvents); ok {
		return page, nil
	}
	return store.ReadLog(ctx, watch.filter, cursor, logPageEvents)
}
