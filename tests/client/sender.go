// Posts with Go's net/http: see README.md.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

type report struct {
	sync.Mutex  `json:"-"`
	Sent        int            `json:"sent"`
	OK          int            `json:"ok"`
	Other       map[string]int `json:"other"`
	Failed      map[string]int `json:"failed"`
	Connections int            `json:"connections"`
}

func body(name string) string {
	address := name + "@example.jp"
	event, _ := json.Marshal(map[string][]map[string]string{"deliveries": {{
		"created": "2026-01-25 14:03:06", "returnPath": "info@example.com", "from": "info@example.com",
		"to": address, "messageId": "<" + address + ">", "reason": "", "senderIp": "",
		"sourceIp": "192.0.2.1", "status": "queued", "subject": "Hello, world", "apiData": "",
	}}})
	return url.Values{"server_composition": {"pro"}, "event_type": {"deliveries"}, "event": {string(event)}}.Encode()
}

func post(client *http.Client, to, data string) (int, error) {
	answer, err := client.Post(to, "application/x-www-form-urlencoded", strings.NewReader(data))
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.ReadAll(answer.Body)
	return answer.StatusCode, err
}

// What lies at the bottom: above it are url.Error and net.OpError, always.
func cause(err error) string {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}

func (r *report) add(status int, err error) {
	r.Lock()
	defer r.Unlock()
	r.Sent++
	if err != nil {
		r.Failed[cause(err)]++
	} else if status == http.StatusOK {
		r.OK++
	} else {
		r.Other[strconv.Itoa(status)]++
	}
}

func main() {
	to, name := os.Args[1], os.Args[4]
	threads, _ := strconv.Atoi(os.Args[2])
	pauses := strings.Split(os.Args[3], ",")
	sums := report{Other: map[string]int{}, Failed: map[string]int{}}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = threads
	// Otherwise it opens one more while it waits for one of the others, and keeps it.
	transport.MaxConnsPerHost = threads
	// The certificate of a test is signed by nobody.
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	dial := transport.DialContext
	transport.DialContext = func(c context.Context, network, address string) (net.Conn, error) {
		sums.Lock()
		sums.Connections++
		sums.Unlock()
		return dial(c, network, address)
	}
	client := &http.Client{Transport: transport}
	var working sync.WaitGroup
	for thread := 0; thread < threads; thread++ {
		working.Add(1)
		go func(thread int) {
			defer working.Done()
			for index, pause := range pauses {
				sums.add(post(client, to, body(fmt.Sprintf("%s-%d-%d", name, thread, index))))
				rest, _ := strconv.Atoi(pause)
				time.Sleep(time.Duration(rest) * time.Millisecond)
			}
		}(thread)
	}
	working.Wait()
	line, _ := json.Marshal(&sums)
	fmt.Println(string(line))
}
