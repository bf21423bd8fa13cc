// Package shop is the support desk's shop: the rules of a small retail store over one SQLite file.
//
// It knows nothing of MCP or of Signalbox. Sixteen operations follow the retail domain of
// tau-bench (refusal texts and arithmetic included, so that its recorded cases can be compared
// result by result); the others are the desk's own. None of the sixteen is ever de-duplicated:
// calling one twice is two effects, which is what makes the shop a good test of an orchestrator.
// Every write is one transaction that also holds its journal row.
package shop
