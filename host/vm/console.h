/* host/vm/console.h - collects the kernel's console into a bounded log file and a tail in memory */
#ifndef HOST_VM_CONSOLE_H
#define HOST_VM_CONSOLE_H

struct console;
struct loop;

/* Takes @fd, our end of the console. @path NULL: no file. */
struct console *console_new(struct loop *loop, int fd, const char *path);
struct console *console_free(struct console *c);
/* The last few KiB, NUL-terminated, valid until the next loop round. */
const char *console_tail(struct console *c);
/* Reads what the pipe holds now. */
void console_catch_up(struct console *c);

#endif
