// Ranks of Open MPI for the bench of all-reduces: MPI_Allreduce over float32, in place, timed and checked.
//
// Rank 0 reads a line per round on stdin, "FLOATS REPEATS", and answers with one line of JSON. The result of one
// all-reduce is what the next one of the round begins with, as it is on the other side (values.ts).
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

// Between rounds the other systems have the processors: ranks that wait here sleep instead of spinning.
static const useconds_t WAIT_US = 2000;
static const int VALUES_PERIOD = 1021;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

// FLOATS and REPEATS of the next round; FLOATS is 0 when there is none.
static void next_round(int rank, int size, int round[2]) {
  if (rank == 0) {
    if (scanf("%d %d", &round[0], &round[1]) != 2) round[0] = 0;
    for (int to = 1; to < size; to++) MPI_Send(round, 2, MPI_INT, to, 0, MPI_COMM_WORLD);
    return;
  }
  int came = 0;
  for (;;) {
    MPI_Iprobe(0, 0, MPI_COMM_WORLD, &came, MPI_STATUS_IGNORE);
    if (came) break;
    usleep(WAIT_US);
  }
  MPI_Recv(round, 2, MPI_INT, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (rank == 0) {
    printf("{\"ready\":true}\n");
    fflush(stdout);
  }
  float *values = NULL;
  int round[2];
  for (next_round(rank, size, round); round[0] > 0; next_round(rank, size, round)) {
    const int floats = round[0], repeats = round[1];
    values = realloc(values, sizeof(float) * floats);
    for (int i = 0; i < floats; i++) values[i] = (float)((i % VALUES_PERIOD + 1) * (rank + 1));

    MPI_Barrier(MPI_COMM_WORLD);
    double span[2] = {-now(), 0};
    for (int i = 0; i < repeats; i++) MPI_Allreduce(MPI_IN_PLACE, values, floats, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    span[1] = now();

    float factor = size * (size + 1) / 2;
    for (int i = 1; i < repeats; i++) factor *= size;
    double wrong = 0;
    for (int i = 0; i < floats; i++) wrong += values[i] != (float)(i % VALUES_PERIOD + 1) * factor;
    // All ranks are on one machine, so they have one clock: from the first that began to the last that ended.
    double last[2], wrong_of_all;
    MPI_Reduce(span, last, 2, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    MPI_Reduce(&wrong, &wrong_of_all, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank == 0) {
      printf("{\"seconds\":%.9f,\"wrong\":%.0f}\n", last[0] + last[1], wrong_of_all);
      fflush(stdout);
    }
  }
  free(values);
  MPI_Finalize();
  return 0;
}
