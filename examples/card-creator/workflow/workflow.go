// Package workflow holds the card creator's workflows and what Signalbox has to know about the press to run them.
package workflow

import (
	_ "embed"
	"strings"
)

// Names of the workflows, as card.yaml and deck.yaml give them.
const (
	// Namespace the workflows live in.
	Namespace = "cards"
	// Card is the workflow of one card.
	Card = "card"
	// Deck is the workflow of a deck, which maps Card over its ideas.
	Deck = "deck"
	// Designer drafts cards.
	Designer = "agents/designer"
	// Critic judges them.
	Critic = "agents/critic"
	// Role of the people who approve decks.
	Role = "art-director"
	// Server is the press's name among the tool servers.
	Server = "press"
	// Published is the type of the event that tells of a published deck.
	Published = "com.example.cards.deck-published.v1"
)

// Source is one workflow as it is handed to Signalbox.
type Source struct {
	// File names it in findings.
	File string
	// Text in YAML.
	Text []byte
}

//go:embed card.yaml
var card string

//go:embed deck.yaml
var deck string

//go:embed signalbox.yaml
var config string

// here is where the README starts a press.
const here = "http://127.0.0.1:7731/mcp"

// Sources are the workflows in the order in which they are handed over: what is mapped comes before what maps it.
func Sources() []Source {
	return []Source{{"card.yaml", []byte(card)}, {"deck.yaml", []byte(deck)}}
}

// Config is signalbox.yaml for a press at another URL.
func Config(url string) string { return strings.Replace(config, here, url, 1) }

// Idea is one card that is wanted.
type Idea struct {
	// Name of the card.
	Name string `json:"name"`
	// Idea of it, in words.
	Idea string `json:"idea"`
}

// Order is what a run of Deck is started with.
type Order struct {
	// Title of the deck, and its Theme.
	Title string `json:"title"`
	Theme string `json:"theme"`
	// Gate is the score below which a card is drafted again.
	Gate int `json:"gate"`
	// Money is what the pictures may cost at most, in US dollars.
	Money float64 `json:"money"`
	// Ideas of the cards.
	Ideas []Idea `json:"ideas"`
}

// Made is a finished card in the result.
type Made struct {
	// Name of the card, and its picture.
	Name     string `json:"name"`
	RenderID string `json:"render_id"`
	// Score that the critic gave, after so many Rounds.
	Score  int `json:"score"`
	Rounds int `json:"rounds"`
}
