// bench/peers/computing.go -- starting, joining, giving way
package main

import (
	"runtime"
	"sync"
)

const million = 1000000

// each runs count goroutines and waits for them.
func each(count int, body func(i int)) {
	var group sync.WaitGroup
	group.Add(count)
	for i := 0; i < count; i++ {
		go func(i int) {
			body(i)
			group.Done()
		}(i)
	}
	group.Wait()
}

func yieldTimes(count int) {
	for i := 0; i < count; i++ {
		runtime.Gosched()
	}
}

func yield() float64 {
	each(2, func(int) { yieldTimes(10000) })
	return nsEach(2*million, func() {
		each(2, func(int) { yieldTimes(million) })
	})
}

func yields() float64 {
	work := func() { each(10000, func(int) { yieldTimes(100) }) }
	work()
	return nsEach(million, work)
}

func spawn() float64 {
	work := func() {
		for i := 0; i < million; i++ {
			each(1, func(int) {})
		}
	}
	return nsEach(million, work)
}

func children() float64 {
	work := func() { each(million, func(int) {}) }
	work()
	return nsEach(million, work)
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	var group sync.WaitGroup
	var one int
	group.Add(1)
	go func() {
		one = fib(n - 1)
		group.Done()
	}()
	two := fib(n - 2)
	group.Wait()
	return one + two
}

func fibonacci() float64 {
	fib(15)
	return nsEach(1346268, func() {
		if fib(30) != 832040 {
			panic("fib")
		}
	})
}

func sumUp(first, leaves int) int {
	if leaves == 1 {
		return first
	}
	var below [10]int
	each(10, func(i int) {
		below[i] = sumUp(first+i*(leaves/10), leaves/10)
	})
	sum := 0
	for _, value := range below {
		sum += value
	}
	return sum
}

// skynet is told in milliseconds for the whole tree: nanoseconds a leaf.
func skynet() float64 {
	sumUp(0, 1000)
	return nsEach(million, func() {
		if sumUp(0, million) != million*(million-1)/2 {
			panic("skynet")
		}
	})
}
