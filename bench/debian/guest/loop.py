"""Integers, lists, dictionaries and calls."""
import sys


def collatz(start):
    steps = 0
    n = start
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


def sieve(limit):
    marks = [True] * limit
    count = 0
    for i in range(2, limit):
        if marks[i]:
            count += 1
            for j in range(i * i, limit, i):
                marks[j] = False
    return count


def words(rounds):
    counts = {}
    state = 1
    for _ in range(rounds):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        key = state >> 21
        counts[key] = counts.get(key, 0) + 1
    return max(counts.values())


rounds = int(sys.argv[1])
print(max(collatz(n) for n in range(1, 100 * rounds)), sieve(5000 * rounds), words(4000 * rounds))
