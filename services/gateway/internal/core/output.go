package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

// maxMessage bounds the words of a failure, as Problem.message does.
const maxMessage = 2048

// toolResult is the part of an MCP CallToolResult that matters here. Values that pass through stay raw.
type toolResult struct {
	Content           json.RawMessage `json:"content"`
	StructuredContent json.RawMessage `json:"structuredContent"`
	IsError           bool            `json:"isError"`
	ResultType        string          `json:"resultType"`
	InputRequests     json.RawMessage `json:"inputRequests"`
}

type contentBlock struct {
	Type string  `json:"type"`
	Text *string `json:"text"`
}

// answerOf turns the raw result of a call into the result of an attempt, by the output rule: structuredContent; else a single text
// block, as JSON if it is JSON and as a string if it is not; else the content array.
func answerOf(id AttemptID, raw []byte, maxOutput int) Result {
	var result toolResult
	if err := json.Unmarshal(raw, &result); err != nil {
		return resultOf(id, &Failure{Cause: CauseMalformed, Written: true, Detail: "the server's result is not an MCP tool result"})
	}
	if result.ResultType == "input_required" || result.InputRequests != nil {
		return Result{
			ID: id, Status: StatusAnswered, IsError: true, Output: quote(needsInput), Message: needsInput,
		}
	}
	output, words, err := outputOf(result)
	if err != nil {
		return resultOf(id, &Failure{Cause: CauseMalformed, Written: true, Detail: err.Error()})
	}
	if len(output) > maxOutput {
		// The call did its work, so "not sent" would be a lie, and there is no output to complete the step with.
		return Result{
			ID: id, Status: StatusUnknown, ErrorType: errorsv1.ErrorType_ERROR_TYPE_SCHEMA,
			Message: fmt.Sprintf("the tool answered with %d bytes, above the limit of %d; the call itself ran", len(output), maxOutput),
		}
	}
	answer := Result{ID: id, Status: StatusAnswered, Output: output, IsError: result.IsError}
	if result.IsError {
		answer.Message = shorten(words)
	}
	return answer
}

const needsInput = "the tool asks its user for input, which a durable call cannot give; give what it needs as arguments"

// outputOf applies the output rule. It also returns the text of the content, for messages.
func outputOf(result toolResult) (output []byte, words string, err error) {
	structured := present(result.StructuredContent)
	if structured && !result.IsError {
		return result.StructuredContent, "", nil
	}
	var blocks []contentBlock
	if present(result.Content) {
		if err := json.Unmarshal(result.Content, &blocks); err != nil {
			return nil, "", fmt.Errorf("the server's result has a content that is not a list of content blocks")
		}
	}
	words = textOf(blocks)
	switch {
	case structured:
		return result.StructuredContent, words, nil
	case len(blocks) == 1 && blocks[0].Type == "text" && blocks[0].Text != nil:
		if text := strings.TrimSpace(*blocks[0].Text); text != "" && json.Valid([]byte(text)) {
			return []byte(text), words, nil
		}
		return quote(*blocks[0].Text), words, nil
	case len(blocks) == 0:
		return []byte("[]"), words, nil
	default:
		return result.Content, words, nil
	}
}

func present(raw json.RawMessage) bool {
	return len(raw) > 0 && !bytes.Equal(raw, []byte("null"))
}

func textOf(blocks []contentBlock) string {
	var words []string
	for _, block := range blocks {
		if block.Text != nil {
			words = append(words, *block.Text)
		}
	}
	return strings.Join(words, "\n")
}

// quote returns text as a JSON string, without the escapes that encoding/json adds for HTML.
func quote(text string) []byte {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	// A string always encodes; text that is not UTF-8 gets replacement characters.
	_ = encoder.Encode(text)
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
}

// shorten cuts words to what a message may hold, at a character.
func shorten(words string) string {
	words = strings.ToValidUTF8(words, "\uFFFD")
	if len(words) <= maxMessage {
		return words
	}
	cut := maxMessage - len("…")
	for cut > 0 && !utf8.RuneStart(words[cut]) {
		cut--
	}
	return words[:cut] + "…"
}
