/* The peer of examples/parse_bench.rs: libapparmor's parser on the same log.
 * gcc -O2 parse_peer.c -lapparmor && ./a.out FILE [SECONDS]
 * Times are the process's own, so that a busy machine does not count.
 * Prints one JSON object. "records" are those it makes sense of. */
#define _GNU_SOURCE
#include <aalogparse/aalogparse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char **lines;
static size_t line_count, bytes;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static size_t pass(void)
{
	size_t records = 0;
	for (size_t i = 0; i < line_count; i++) {
		aa_log_record *record = parse_record(lines[i]);
		if (record && record->event != AA_RECORD_INVALID)
			records++;
		free_record(record);
	}
	return records;
}

int main(int argc, char **argv)
{
	FILE *log = argc > 1 ? fopen(argv[1], "r") : NULL;
	double seconds = argc > 2 ? atof(argv[2]) : 2.0;
	char *line = NULL;
	size_t room = 0;
	ssize_t length;

	if (!log) {
		perror("usage: parse_peer FILE [SECONDS]");
		return 1;
	}
	while ((length = getline(&line, &room, log)) > 0) {
		bytes += length;
		lines = realloc(lines, (line_count + 1) * sizeof(*lines));
		if (line[length - 1] == '\n')
			line[length - 1] = '\0';
		lines[line_count++] = strdup(line);
	}
	size_t records = pass(), passes = 0;
	double start = now();
	do {
		pass();
		passes++;
	} while (now() - start < seconds);
	double elapsed = (now() - start) / passes;
	printf("{\"parser\":\"libapparmor\",\"lines\":%zu,\"records\":%zu,"
	       "\"lines_per_second\":%.0f,\"bytes_per_second\":%.0f}\n",
	       line_count, records, line_count / elapsed, bytes / elapsed);
	return 0;
}
