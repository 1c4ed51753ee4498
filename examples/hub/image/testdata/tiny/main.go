// Tiny stands for the hub in tests of its image: it compiles fast.
package main

func main() { println("tiny") }
