/*
 * Runs a command and writes the nanoseconds that it took to a file, by the monotonic clock and in processor time:
 * stopwatch FILE COMMAND...
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long nanoseconds(struct timeval t) {
  return t.tv_sec * 1000000000LL + t.tv_usec * 1000LL;
}

int main(int count, char **words) {
  if (count < 3) {
    fputs("usage: stopwatch FILE COMMAND...\n", stderr);
    return 2;
  }
  long long begin = now();
  pid_t child = fork();
  if (child == 0) {
    execvp(words[2], words + 2);
    perror(words[2]);
    _exit(127);
  }
  int status;
  if (child < 0 || waitpid(child, &status, 0) < 0) {
    perror("stopwatch");
    return 1;
  }
  long long end = now();
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  long long processor = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
  FILE *file = fopen(words[1], "w");
  if (file == NULL || fprintf(file, "%lld %lld\n", end - begin, processor) < 0 || fclose(file) != 0) {
    perror(words[1]);
    return 1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
