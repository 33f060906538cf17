/* host/vm/spawn.h - starts helper programs with exactly the descriptors they are meant to have */
#ifndef HOST_VM_SPAWN_H
#define HOST_VM_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

struct err;

struct spawn {
	char *const *argv; /* argv[0] is the absolute path of the program */
	int cwd_fd; /* -1: / */
	int stdio[3]; /* -1: /dev/null */
	int fd3; /* becomes descriptor 3; 0: nothing there */
	const int *keep; /* further descriptors the program inherits under the same number */
	unsigned n_keep;
	bool new_session;
	bool die_with_parent;
	bool fixed_addresses; /* no address space randomisation */
};

/* Returns the child's pid, or -errno with *err set when the program cannot be started. */
pid_t spawn_program(const struct spawn *s, struct err *err);

#endif
