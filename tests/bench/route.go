// route.go - the job of route-prompts on Go's net/http, for comparison: route PORT IN_FLIGHT < prompts
// Reads JSON lines, sends each, checks and parses the answer, writes a JSON line; no audit, no metrics.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

type prompt struct {
	ID     json.RawMessage `json:"id"`
	Prompt string          `json:"prompt"`
}

type parameters struct {
	Temperature float64 `json:"temperature"`
	MaxTokens   int     `json:"maxTokens"`
	TopP        float64 `json:"topP"`
}

type body struct {
	ModelID        string            `json:"modelId"`
	Prompt         string            `json:"prompt"`
	Parameters     parameters        `json:"parameters"`
	FallbackModels []string          `json:"fallbackModels"`
	SafetyFilters  []string          `json:"safetyFilters"`
	Metadata       map[string]string `json:"metadata"`
}

type usage struct {
	InputTokens  int `json:"inputTokens"`
	OutputTokens int `json:"outputTokens"`
}

type safety struct {
	Passed    bool     `json:"passed"`
	Triggered []string `json:"triggered"`
}

type answer struct {
	ModelID      string `json:"modelId"`
	Output       string `json:"output"`
	FinishReason string `json:"finishReason"`
	Usage        usage  `json:"usage"`
	Safety       safety `json:"safety"`
}

type result struct {
	ID           json.RawMessage `json:"id"`
	Status       string          `json:"status"`
	Model        string          `json:"model"`
	Output       string          `json:"output"`
	FinishReason string          `json:"finish_reason"`
	Usage        usage           `json:"usage"`
	Safety       safety          `json:"safety"`
	LatencyMs    float64         `json:"latency_ms"`
	RequestID    string          `json:"request_id"`
}

func uuid4() string {
	b := make([]byte, 16)
	rand.Read(b)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

var metadata = map[string]string{"routingVersion": "1", "dispatchSource": "bench"}

func send(client *http.Client, url string, line []byte) (*result, error) {
	var p prompt
	if err := json.Unmarshal(line, &p); err != nil {
		return nil, err
	}
	if n := utf8.RuneCountInString(p.Prompt); n < 1 || n > 8000 {
		return nil, fmt.Errorf("bad prompt")
	}
	data, err := json.Marshal(body{"m-1", p.Prompt, parameters{0.7, 2048, 0.95}, []string{}, []string{}, metadata})
	if err != nil {
		return nil, err
	}
	id := uuid4()
	req, err := http.NewRequest("POST", url, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer 0123456789abcdef0123456789abcdef0123456789abcdef")
	req.Header.Set("X-Genesys-Request-Id", id)
	req.Header.Set("X-Correlation-Id", "route-"+id)
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	var a answer
	if err != nil || resp.StatusCode != 200 || json.Unmarshal(text, &a) != nil {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	ms := float64(time.Since(began).Microseconds()/100) / 10
	return &result{p.ID, "ok", a.ModelID, a.Output, a.FinishReason, a.Usage, a.Safety, ms, id}, nil
}

func main() {
	inFlight, _ := strconv.Atoi(os.Args[2])
	url := "http://127.0.0.1:" + os.Args[1] + "/api/v2/ai/gateway/prompts"
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: inFlight, MaxIdleConnsPerHost: inFlight}}
	lines := make(chan []byte, inFlight)
	var wg sync.WaitGroup
	var lock sync.Mutex
	out := bufio.NewWriterSize(os.Stdout, 65536)
	failed := 0
	for i := 0; i < inFlight; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for line := range lines {
				r, err := send(client, url, line)
				var text []byte
				if err == nil {
					text, err = json.Marshal(r)
				}
				lock.Lock()
				if err != nil {
					failed++
				} else {
					out.Write(text)
					out.WriteByte('\n')
				}
				lock.Unlock()
			}
		}()
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 65536), 1<<20)
	for in.Scan() {
		lines <- append([]byte(nil), in.Bytes()...)
	}
	close(lines)
	wg.Wait()
	out.Flush()
	if failed > 0 {
		fmt.Fprintf(os.Stderr, "%d failed\n", failed)
		os.Exit(1)
	}
}
