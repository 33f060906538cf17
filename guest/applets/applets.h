/* guest/applets/applets.h - programs that are /init under another name */
#ifndef GUEST_APPLETS_APPLETS_H
#define GUEST_APPLETS_APPLETS_H

int wslinfo_main(int argc, char **argv);

/* The text behind "key=" in a kernel command line, up to the next blank, in fresh memory; NULL when
 * the word is not there. The first one counts: the service's words precede those of the user. */
char *cmdline_value(const char *cmdline, const char *key);

#endif
