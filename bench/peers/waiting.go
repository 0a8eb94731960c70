// bench/peers/waiting.go -- being parked, sleeping, being idle
package main

import (
	"sync"
	"time"
)

func parked() float64 {
	var started sync.WaitGroup
	forever := make(chan struct{})
	before := resident()
	started.Add(million)
	for i := 0; i < million; i++ {
		go func() {
			started.Done()
			<-forever
		}()
	}
	started.Wait()
	time.Sleep(10 * time.Millisecond)
	return (resident() - before) / million
}

func sleeps() float64 {
	before := cpuSeconds()
	each(million, func(i int) {
		length := 1 + (i*7919)%1000
		time.Sleep(time.Duration(length) * time.Millisecond)
	})
	return cpuSeconds() - before
}

func idle() float64 {
	each(64, func(int) {
		for end := time.Now().Add(time.Millisecond); time.Now().Before(end); {
		}
	})
	time.Sleep(200 * time.Millisecond)
	before := cpuSeconds()
	time.Sleep(2 * time.Second)
	return 100 * (cpuSeconds() - before) / 2
}
