package main

import (
	"os"
	"strings"

	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"github.com/bufbuild/protocompile/sourceinfo"
	"google.golang.org/protobuf/types/descriptorpb"
)

// comments are those of a contract.
type comments struct {
	// intro stands above all, paragraph by paragraph.
	intro []string
	// of are the comments of elements, by full name without the package: "Step", "Step.id", "Effect.EFFECT_READ".
	of map[string]string
}

// readComments parses a contract's text: the generated code has its descriptors, but no comments.
func readComments(file string) (*comments, error) {
	text, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = text.Close() }()
	handler := reporter.NewHandler(nil)
	tree, err := parser.Parse(file, text, handler)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ResultFromAST(tree, true, handler)
	if err != nil {
		return nil, err
	}
	descriptor := parsed.FileDescriptorProto()
	out := &comments{of: map[string]string{}}
	for _, at := range sourceinfo.GenerateSourceInfo(tree, nil).GetLocation() {
		name := elementAt(descriptor, at.GetPath())
		if name == "syntax" {
			out.intro = paragraphs(at.GetLeadingComments())
		} else if name != "" && at.GetLeadingComments() != "" {
			out.of[name] = strings.Join(paragraphs(at.GetLeadingComments()), "\n\n")
		}
	}
	return out, nil
}

// Numbers of fields of FileDescriptorProto and what is in it, of which the paths of source locations are made.
const (
	fileMessages, fileEnums, fileSyntax = 4, 5, 12
	messageFields, messageOneofs        = 2, 8
	enumValues                          = 2
)

// elementAt names what a path leads to; empty: nothing that the reference tells of.
func elementAt(file *descriptorpb.FileDescriptorProto, path []int32) string {
	switch {
	case len(path) == 1 && path[0] == fileSyntax:
		return "syntax"
	case len(path) < 2 || path[0] != fileMessages && path[0] != fileEnums:
		return ""
	case path[0] == fileEnums:
		e := file.GetEnumType()[path[1]]
		if len(path) == 2 {
			return e.GetName()
		}
		if len(path) == 4 && path[2] == enumValues {
			return e.GetName() + "." + e.GetValue()[path[3]].GetName()
		}
	default:
		m := file.GetMessageType()[path[1]]
		switch {
		case len(path) == 2:
			return m.GetName()
		case len(path) == 4 && path[2] == messageFields:
			return m.GetName() + "." + m.GetField()[path[3]].GetName()
		case len(path) == 4 && path[2] == messageOneofs:
			return m.GetName() + "." + m.GetOneofDecl()[path[3]].GetName()
		}
	}
	return ""
}

// paragraphs joins the lines of a comment; an empty line begins a new paragraph.
func paragraphs(comment string) []string {
	var out []string
	for block := range strings.SplitSeq(comment, "\n\n") {
		var lines []string
		for line := range strings.SplitSeq(block, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
		if len(lines) > 0 {
			out = append(out, strings.Join(lines, " "))
		}
	}
	return out
}
