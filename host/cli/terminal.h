/* host/cli/terminal.h - the user's terminal: raw mode that is always undone, and its size
 *
 * One terminal per process. Raw mode is left by terminal_restore(), at exit, and by fatal signals;
 * only SIGKILL leaves the terminal raw.
 */
#ifndef HOST_CLI_TERMINAL_H
#define HOST_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

/* True if this process may read @fd and change its modes without being stopped. */
bool terminal_foreground(int fd);
/* @output_too: bytes for the terminal come from the guest's terminal ready-made. 0 or -errno. */
int terminal_raw(int fd, bool output_too);
void terminal_restore(void);
bool terminal_is_raw(void);
/* False, and 24 rows of 80, when the size is not known. */
bool terminal_size(int fd, uint32_t *ret_rows, uint32_t *ret_cols);

#endif
