/* SQLite's own file system, with the log's writes gathered.
 *
 * SQLite writes each page of its log by two calls, 24 bytes and 4 KiB; a batch of puts is a hundred
 * of these. Here what follows on one another in the log leaves in pieces of 64 KiB. Nobody sees the
 * difference: SQLite syncs the log before it tells other connections of what is there
 * (synchronous = FULL, store/database.c), and a sync writes what was gathered first. */
#ifndef STORE_GATHER_H
#define STORE_GATHER_H

/* The name to open databases with. The first call comes before there are threads. */
const char *gather_vfs(void);

#endif /* STORE_GATHER_H */
