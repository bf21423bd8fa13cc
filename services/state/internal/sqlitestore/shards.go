package sqlitestore

import (
	"context"
	"slices"

	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// attentionPage is how many runs one short read of LoadAttention covers.
const attentionPage = 256

// ClaimShards implements core.ShardStore.
func (s *Store) ClaimShards(ctx context.Context, shards []uint32, owner string) ([]uint64, error) {
	now := nanos(s.clock.Now())
	minted := make(map[uint32]uint64, len(shards))
	err := s.writer.do(ctx, 0, func(conn *sqlite.Conn) error {
		for _, shard := range shards {
			if _, twice := minted[shard]; twice {
				continue
			}
			err := each(conn, `INSERT INTO shards (shard, epoch, owner, claim_time) VALUES (?,1,?,?)
				ON CONFLICT DO UPDATE SET epoch = epoch + 1, owner = excluded.owner, claim_time = excluded.claim_time RETURNING epoch`,
				func(s *sqlite.Stmt) {
					s.BindInt64(1, int64(shard))
					s.BindText(2, owner)
					s.BindInt64(3, now)
				}, func(s *sqlite.Stmt) error {
					minted[shard] = uint64(s.ColumnInt64(0))
					return nil
				})
			if err != nil {
				return err
			}
		}
		// From here on the writer judges by the new epochs. Should the transaction fail, it reads the old ones again.
		for shard, epoch := range minted {
			s.writer.epochs[shard] = epoch
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	epochs := make([]uint64, len(shards))
	for i, shard := range shards {
		epochs[i] = minted[shard]
	}
	return epochs, nil
}

// LoadAttention implements core.ShardStore.
func (s *Store) LoadAttention(ctx context.Context, shards []uint32, yield func([]core.RunHead) error) error {
	sorted := slices.Compact(slices.Sorted(slices.Values(shards)))
	for _, shard := range sorted {
		for after, more := int64(0), true; more; {
			var heads []core.RunHead
			fill := filling{limit: attentionPage}
			more = false
			err := s.read(ctx, func(conn *sqlite.Conn) error {
				return each(conn, "SELECT "+headColumns+` FROM runs WHERE attention = 1 AND shard = ? AND run_no > ?
					ORDER BY run_no LIMIT ?`, func(s *sqlite.Stmt) {
					s.BindInt64(1, int64(shard))
					s.BindInt64(2, after)
					s.BindInt64(3, attentionPage+1)
				}, func(s *sqlite.Stmt) error {
					if more = !fill.fits(s.ColumnLen(4)); more {
						return errEnough
					}
					after = s.ColumnInt64(0)
					heads = append(heads, headAt(s))
					return nil
				})
			})
			if err != nil {
				return err
			}
			if len(heads) == 0 {
				continue
			}
			if err := yield(heads); err != nil {
				return err
			}
		}
	}
	return nil
}
