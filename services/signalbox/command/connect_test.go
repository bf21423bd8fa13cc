package command_test

import (
	"encoding/json"
	"strings"
	"testing"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
)

func TestAddressComesFromFlagThenEnvironmentThenFile(t *testing.T) {
	term := newTerminal(t)
	byFlag, byVariable, byFile, byService := startSuite(t, ""), startSuite(t, ""), startSuite(t, ""), startSuite(t, "")
	for suite, answer := range map[*fakeSuite]string{byFlag: "flag", byVariable: "variable", byFile: "file", byService: "service"} {
		suite.on("ListRuns", &statev1.ListRunsResponse{NextPageToken: "from-" + answer})
	}
	asks := func(args ...string) string {
		result := term.run(t.Context(), append([]string{"run", "list"}, args...)...)
		_, from, _ := strings.Cut(result.err, "from-")
		return strings.TrimSpace(from)
	}
	term.file("signalbox.yaml", "listen: {grpc: \""+byFile.address+"\"}\n")
	if from := asks(); from != "file" {
		t.Errorf("with listen.grpc in the file it asked %q", from)
	}
	term.file("signalbox.yaml", "listen: {grpc: \""+byFile.address+"\"}\nservices: {state: {address: \""+byService.address+"\"}}\n")
	if from := asks(); from != "service" {
		t.Errorf("with services.state.address it asked %q", from)
	}
	term.environ = []string{"SIGNALBOX_ADDRESS=" + byVariable.address}
	if from := asks(); from != "variable" {
		t.Errorf("with SIGNALBOX_ADDRESS it asked %q", from)
	}
	if from := asks("--address", byFlag.address); from != "flag" {
		t.Errorf("with --address it asked %q", from)
	}
}

func TestKeyIsSentFromEachSource(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "s3cret")
	suite.on("ListRuns", &statev1.ListRunsResponse{})
	term.to(suite, "run", "list").want(t, 4, "UNAUTHENTICATED")
	term.environ = []string{"SIGNALBOX_AUTH_API_KEY=s3cret"}
	term.to(suite, "run", "list").want(t, 0)
	term.environ = nil
	term.file("key", "s3cret\n")
	term.to(suite, "run", "list", "--api-key-file", "key").want(t, 0)
	term.to(suite, "run", "list", "--api-key-file", "nowhere").want(t, 2, "api-key-file", "nowhere")
	term.file("signalbox.yaml", "auth: {api_key_file: key}\n")
	term.to(suite, "run", "list").want(t, 0)
}

// A client's shell rarely has the secrets of tool servers; a client that starts none needs none.
func TestBrokenToolServersDoNotStopAClient(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("ListRuns", &statev1.ListRunsResponse{})
	term.file("signalbox.yaml", "servers: {desk: {http: {url: \"http://127.0.0.1:1/mcp\", headers: {Authorization: \"${env:NOT_SET_HERE}\"}}}}\n")
	term.to(suite, "run", "list").want(t, 0, "no runs")
	term.file("signalbox.yaml", "listen: {grcp: \"127.0.0.1:1\"}\n")
	term.to(suite, "run", "list").want(t, 2, "signalbox.yaml:1", "grcp", `"grpc"`)
}

func TestNamespaceComesFromFlagThenEnvironment(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("ListRuns", &statev1.ListRunsResponse{})
	for _, test := range []struct {
		environ, args []string
		want          string
	}{
		{nil, nil, "default"},
		{[]string{"SIGNALBOX_NAMESPACE=shop"}, nil, "shop"},
		{[]string{"SIGNALBOX_NAMESPACE=shop"}, []string{"--namespace", "*"}, "*"},
	} {
		term.environ = test.environ
		term.to(suite, append([]string{"run", "list"}, test.args...)...).want(t, 0)
		if namespace := got[*statev1.ListRunsRequest](t, suite).GetNamespace(); namespace != test.want {
			t.Errorf("%v %v: namespace %q, want %q", test.environ, test.args, namespace, test.want)
		}
	}
}

func TestConfigShowNamesTheOriginOfEachValue(t *testing.T) {
	term := newTerminal(t)
	term.file("signalbox.yaml", "log: {level: warn, format: json}\nauth: {api_key: hush-hush}\nservers: {desk: {stdio: {command: [desk, --stdio], env: {TOKEN: hush-too}}}}\n")
	term.environ = []string{"SIGNALBOX_LOG_LEVEL=debug", "SIGNALBOX_DATA_DIR=/from/env"}
	result := term.run(t.Context(), "config", "show", "--data-dir", "/from/flag", "-o", "json")
	result.want(t, 0)
	var settings []struct{ Path, Value, Origin string }
	if err := json.Unmarshal([]byte(result.out), &settings); err != nil {
		t.Fatal(err)
	}
	found := map[string][2]string{}
	for _, s := range settings {
		found[s.Path] = [2]string{s.Value, s.Origin}
	}
	for path, want := range map[string][2]string{
		"data_dir": {"/from/flag", "--data-dir"}, "log.level": {"debug", "SIGNALBOX_LOG_LEVEL"}, "log.format": {"json", "signalbox.yaml:1"},
		"listen.grpc": {"127.0.0.1:7411", "default"}, "servers.desk": {"stdio: desk --stdio", "signalbox.yaml:3"},
	} {
		if found[path] != want {
			t.Errorf("%s: %v, want %v", path, found[path], want)
		}
	}
	if strings.Contains(result.out, "hush") {
		t.Errorf("a secret is shown:\n%s", result.out)
	}
}

func TestConfigCheckTellsEveryProblemAtOnce(t *testing.T) {
	term := newTerminal(t)
	term.run(t.Context(), "config", "check").want(t, 0, "the configuration is good: no file, 0 tool servers")
	term.file("bad.yaml", "log: {level: loud}\nlisten: {grpc: \"0.0.0.0:7411\"}\n")
	term.run(t.Context(), "config", "check", "--config", "bad.yaml").want(t, 2, "bad.yaml:1: log.level", `"loud"`, "bad.yaml:2: listen.grpc", "0.0.0.0:7411")
}
