// client.go - the benchmark's job on Go's net/http, for comparison: client PORT IN_FLIGHT SECONDS.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type body struct {
	ModelID    string            `json:"modelId"`
	Prompt     string            `json:"prompt"`
	Parameters map[string]any    `json:"parameters"`
	Metadata   map[string]string `json:"metadata"`
}

func main() {
	inFlight, _ := strconv.Atoi(os.Args[2])
	seconds, _ := strconv.ParseFloat(os.Args[3], 64)
	url := "http://127.0.0.1:" + os.Args[1] + "/api/v2/ai/gateway/prompts"
	transport := &http.Transport{MaxIdleConns: inFlight, MaxIdleConnsPerHost: inFlight}
	client := &http.Client{Transport: transport}
	text := strings.Repeat("The customer asks about a refund for order 4711. ", 8)
	began := time.Now()
	ending := began.Add(time.Duration(seconds * float64(time.Second)))
	var done, failed atomic.Int64
	var wg sync.WaitGroup
	for i := 0; i < inFlight; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := 0; time.Now().Before(ending); n++ {
				id := make([]byte, 16)
				rand.Read(id)
				data, _ := json.Marshal(body{"m-1", text,
					map[string]any{"temperature": 0.2, "maxTokens": 2048, "topP": 0.95},
					map[string]string{"routingVersion": "7", "dispatchSource": "bench", "sequence": strconv.Itoa(n)}})
				req, _ := http.NewRequest("POST", url, bytes.NewReader(data))
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Authorization", "Bearer 0123456789abcdef0123456789abcdef0123456789abcdef")
				req.Header.Set("X-Genesys-Request-Id", hex.EncodeToString(id))
				resp, err := client.Do(req)
				if err != nil {
					failed.Add(1)
					continue
				}
				answer, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				var parsed map[string]any
				if resp.StatusCode == 200 && json.Unmarshal(answer, &parsed) == nil && parsed["finishReason"] == "stop" {
					done.Add(1)
				} else {
					failed.Add(1)
				}
			}
		}()
	}
	wg.Wait()
	took := time.Since(began).Seconds()
	fmt.Printf("requests %d seconds %.3f rate %.0f failed %d\n", done.Load(), took, float64(done.Load())/took, failed.Load())
}
