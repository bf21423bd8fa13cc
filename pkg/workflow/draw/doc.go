// Package draw makes pictures of definitions: SVG, Mermaid and DOT, with the position of a run marked where one is given.
//
// A picture is drawn from the contract alone, so that a definition with errors can be looked at while it is written. The same definition
// and run give the same bytes. Whatever authors and tools wrote is shown as text and cannot become part of the picture's own language.
package draw
