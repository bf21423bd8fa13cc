// Package press is a small printing press for game cards: it renders a card to a picture, slowly and for money, and binds pictures to a deck. A
// journal on disk counts, for each idempotency key, how often a picture was asked for and how often one was really rendered and paid.
package press

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/examples/journal"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// Kind is what happened.
type Kind string

// The kinds of entries.
const (
	Asked     Kind = "asked"     // a render was asked for
	Rendered  Kind = "rendered"  // a picture was rendered, and paid
	Discarded Kind = "discarded" // a picture was thrown away; its money is gone
	Published Kind = "published" // a deck was bound
)

// Entry is one thing that happened, and one line of the journal.
type Entry struct {
	Kind Kind `json:"kind"`
	// Key by which the caller of the tool tells one effect from another.
	Key string `json:"key,omitempty"`
	// Render that it is about, of Rendered and Discarded.
	Render string `json:"render,omitempty"`
	// Title of the card, or of the deck.
	Title string `json:"title,omitempty"`
	// Price paid in US dollars.
	Price float64 `json:"price,omitempty"`
	// Card that was rendered.
	Card *Card `json:"card,omitempty"`
	// Renders that a deck is made of.
	Renders []string `json:"renders,omitempty"`
	// Operation that asked for it, as "run/operation".
	Operation string `json:"operation,omitempty"`
}

// Card is what is rendered.
type Card struct {
	Title     string `json:"title" jsonschema:"Name of the card."`
	Text      string `json:"text" jsonschema:"What the card does, in a sentence."`
	Cost      int    `json:"cost" jsonschema:"What it costs to play, from 1 to 9."`
	Power     int    `json:"power" jsonschema:"How hard it hits, from 0 to 9."`
	Toughness int    `json:"toughness" jsonschema:"How much it takes, from 0 to 9."`
	Style     string `json:"style" jsonschema:"Style of the deck, as get_style names it."`
}

// Picture is a rendered card.
type Picture struct {
	ID string `json:"render_id"`
	// File it is in, beside the journal.
	File string `json:"file"`
	// Digest of its bytes, SHA-256.
	Digest string `json:"digest"`
	// Price paid for it in US dollars.
	Price float64 `json:"price"`
}

// Refusal is the press's own no: nothing was done.
type Refusal string

// Error implements error.
func (r Refusal) Error() string { return string(r) }

// PerRender is what a picture costs, in US dollars.
const PerRender = 0.25

// Press is open. Its methods may be called concurrently.
type Press struct {
	dir   string
	pace  time.Duration
	clock clock.Clock

	mu        sync.Mutex
	file      *journal.File[Entry]
	byKey     map[string]Entry
	byRender  map[string]Entry
	discarded map[string]bool
	underWay  map[string]chan struct{}
}

// Open opens the press in a folder, which holds its journal and its pictures. A render takes as long as pace says, by the clock.
func Open(dir string, pace time.Duration, c clock.Clock) (*Press, error) {
	p := &Press{
		dir: dir, pace: pace, clock: c, byKey: map[string]Entry{}, byRender: map[string]Entry{}, discarded: map[string]bool{}, underWay: map[string]chan struct{}{},
	}
	file, err := journal.Open(filepath.Join(dir, JournalFile), func(e Entry) error { p.apply(e); return nil })
	p.file = file
	return p, err
}

// JournalFile is the journal's name in the press's folder.
const JournalFile = "press.jsonl"

// Close closes the journal.
func (p *Press) Close() error { return p.file.Close() }

func (p *Press) apply(e Entry) {
	switch e.Kind {
	case Rendered:
		p.byKey[e.Key], p.byRender[e.Render] = e, e
	case Discarded:
		p.discarded[e.Render] = true
	case Published:
		p.byKey[e.Key] = e
	}
}

func (p *Press) record(e Entry) error {
	if err := p.file.Append(e); err != nil {
		return err
	}
	p.apply(e)
	return nil
}

// Render renders a card. The same key is rendered and paid once only: asked again, the picture that is there is the answer, and while it is being
// rendered it is waited for. Whoever asked may leave; the press goes on.
func (p *Press) Render(ctx context.Context, key string, c Card, operation string) (Picture, error) {
	for {
		p.mu.Lock()
		done, busy := p.byKey[key], p.underWay[key]
		if busy == nil {
			if err := p.file.Append(Entry{Kind: Asked, Key: key, Title: c.Title, Operation: operation}); err != nil {
				p.mu.Unlock()
				return Picture{}, err
			}
		}
		switch {
		case done.Render != "":
			p.mu.Unlock()
			return p.picture(done), nil
		case busy == nil:
			busy = make(chan struct{})
			p.underWay[key] = busy
			p.mu.Unlock()
			return p.render(ctx, key, c, operation, busy)
		}
		p.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return Picture{}, ctx.Err()
		}
	}
}

func (p *Press) render(ctx context.Context, key string, c Card, operation string, busy chan struct{}) (Picture, error) {
	err := clock.Sleep(context.WithoutCancel(ctx), p.clock, p.pace)
	p.mu.Lock()
	defer p.mu.Unlock()
	defer close(busy)
	delete(p.underWay, key)
	if err != nil {
		return Picture{}, err
	}
	e := Entry{Kind: Rendered, Key: key, Render: renderID(key), Title: c.Title, Price: PerRender, Card: &c, Operation: operation}
	if err := os.WriteFile(filepath.Join(p.dir, pictureFile(e.Render)), c.SVG(), 0o600); err != nil {
		return Picture{}, err
	}
	if err := p.record(e); err != nil {
		return Picture{}, err
	}
	return p.picture(e), nil
}

// renderID is the same for the same key, and short.
func renderID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "R" + hex.EncodeToString(sum[:4])
}

func pictureFile(render string) string { return render + ".svg" }

func (p *Press) picture(e Entry) Picture {
	sum := sha256.Sum256(e.Card.SVG())
	return Picture{ID: e.Render, File: pictureFile(e.Render), Digest: hex.EncodeToString(sum[:]), Price: e.Price}
}

// Find finds the picture that was rendered under a key.
func (p *Press) Find(key string) (Picture, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.byKey[key]
	if !ok || e.Render == "" {
		return Picture{}, false
	}
	return p.picture(e), true
}

// Look returns the card on a picture. One that was thrown away is refused.
func (p *Press) Look(render string) (Card, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, err := p.kept(render)
	if err != nil {
		return Card{}, err
	}
	return *e.Card, nil
}

func (p *Press) kept(render string) (Entry, error) {
	e, ok := p.byRender[render]
	switch {
	case !ok:
		return e, Refusal(fmt.Sprintf("there is no picture %s", render))
	case p.discarded[render]:
		return e, Refusal(fmt.Sprintf("picture %s was thrown away", render))
	}
	return e, nil
}

// Discard throws a picture away. Doing it twice changes nothing more.
func (p *Press) Discard(render, operation string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.byRender[render]
	if !ok {
		return Refusal(fmt.Sprintf("there is no picture %s", render))
	}
	if p.discarded[render] {
		return nil
	}
	return p.record(Entry{Kind: Discarded, Key: e.Key, Render: render, Title: e.Title, Operation: operation})
}

// Publish binds pictures to a deck. The same key does it once only.
func (p *Press) Publish(key, title string, renders []string, operation string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.byKey[key]; ok && e.Kind == Published {
		return deckFile(e.Key), nil
	}
	var cards []Card
	for _, id := range renders {
		e, err := p.kept(id)
		if err != nil {
			return "", err
		}
		cards = append(cards, *e.Card)
	}
	file := deckFile(key)
	if err := os.WriteFile(filepath.Join(p.dir, file), sheet(title, cards), 0o600); err != nil {
		return "", err
	}
	return file, p.record(Entry{Kind: Published, Key: key, Title: title, Renders: renders, Operation: operation})
}

func deckFile(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "deck-" + hex.EncodeToString(sum[:4]) + ".html"
}

// Count is what the journal says of one key.
type Count struct {
	// Asked counts the requests that reached the press; Rendered the pictures that were made and paid.
	Asked, Rendered int
	// Title of the card; Render is the picture.
	Title, Render string
	// Discarded tells that it was thrown away.
	Discarded bool
}

// Counts reads the journal of a press's folder, also while the press runs.
func Counts(dir string) (map[string]*Count, error) {
	all, err := journal.Read[Entry](filepath.Join(dir, JournalFile))
	if err != nil {
		return nil, err
	}
	by := map[string]*Count{}
	for _, e := range all {
		if e.Kind == Published {
			continue
		}
		c := by[e.Key]
		if c == nil {
			c = &Count{Title: e.Title}
			by[e.Key] = c
		}
		switch e.Kind {
		case Asked:
			c.Asked++
		case Rendered:
			c.Rendered++
			c.Render = e.Render
		case Discarded:
			c.Discarded = true
		}
	}
	return by, nil
}
