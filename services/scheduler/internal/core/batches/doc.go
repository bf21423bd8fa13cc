// Package batches does one thing to many runs: cancel, pause, resume or migrate all that a filter finds.
//
// A batch goes through the runs page by page. After each page it writes down what became of it and where the next begins, so that after a
// restart at most one page is gone through again; all four actions are harmless when they are repeated.
package batches
