#include "store/gather.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES 65536

/* Lies behind what the system's VFS keeps of a file. */
struct gather {
    const sqlite3_io_methods *system;
    char *piece;
    int bytes;
    sqlite3_int64 offset; /* In the file, of the piece's first byte. */
};

static sqlite3_vfs *system_vfs;

static struct gather *gather_of(sqlite3_file *file)
{
    return (struct gather *)((char *)file + system_vfs->szOsFile);
}

/* What cannot be written is lost, as it is when SQLite's own write fails: its transaction fails. */
static int flush(sqlite3_file *file)
{
    struct gather *gather = gather_of(file);
    int bytes = gather->bytes;

    gather->bytes = 0;
    return bytes == 0 ? SQLITE_OK
                      : gather->system->xWrite(file, gather->piece, bytes, gather->offset);
}

static int gather_write(sqlite3_file *file, const void *data, int bytes, sqlite3_int64 offset)
{
    struct gather *gather = gather_of(file);
    int rc = SQLITE_OK;

    if (offset != gather->offset + gather->bytes || bytes > PIECE_BYTES - gather->bytes) {
        rc = flush(file);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (bytes > PIECE_BYTES) {
        return gather->system->xWrite(file, data, bytes, offset);
    }
    if (gather->bytes == 0) {
        gather->offset = offset;
    }
    memcpy(gather->piece + gather->bytes, data, (size_t)bytes);
    gather->bytes += bytes;
    return SQLITE_OK;
}

static int gather_close(sqlite3_file *file)
{
    struct gather *gather = gather_of(file);
    int rc = flush(file), closed = gather->system->xClose(file);

    free(gather->piece);
    return rc != SQLITE_OK ? rc : closed;
}

static int gather_read(sqlite3_file *file, void *data, int bytes, sqlite3_int64 offset)
{
    int rc = flush(file);

    return rc != SQLITE_OK ? rc : gather_of(file)->system->xRead(file, data, bytes, offset);
}

static int gather_truncate(sqlite3_file *file, sqlite3_int64 bytes)
{
    int rc = flush(file);

    return rc != SQLITE_OK ? rc : gather_of(file)->system->xTruncate(file, bytes);
}

static int gather_sync(sqlite3_file *file, int flags)
{
    int rc = flush(file);

    return rc != SQLITE_OK ? rc : gather_of(file)->system->xSync(file, flags);
}

static int gather_size(sqlite3_file *file, sqlite3_int64 *bytes)
{
    int rc = flush(file);

    return rc != SQLITE_OK ? rc : gather_of(file)->system->xFileSize(file, bytes);
}

static int gather_lock(sqlite3_file *file, int level)
{
    return gather_of(file)->system->xLock(file, level);
}

static int gather_unlock(sqlite3_file *file, int level)
{
    return gather_of(file)->system->xUnlock(file, level);
}

static int gather_check_lock(sqlite3_file *file, int *locked)
{
    return gather_of(file)->system->xCheckReservedLock(file, locked);
}

static int gather_control(sqlite3_file *file, int op, void *argument)
{
    return gather_of(file)->system->xFileControl(file, op, argument);
}

static int gather_sector(sqlite3_file *file)
{
    return gather_of(file)->system->xSectorSize(file);
}

static int gather_characteristics(sqlite3_file *file)
{
    return gather_of(file)->system->xDeviceCharacteristics(file);
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = gather_close,
    .xRead = gather_read,
    .xWrite = gather_write,
    .xTruncate = gather_truncate,
    .xSync = gather_sync,
    .xFileSize = gather_size,
    .xLock = gather_lock,
    .xUnlock = gather_unlock,
    .xCheckReservedLock = gather_check_lock,
    .xFileControl = gather_control,
    .xSectorSize = gather_sector,
    .xDeviceCharacteristics = gather_characteristics,
};

/* Only the log is ours; other files keep the system's methods. */
static int open_file(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *done)
{
    int rc = system_vfs->xOpen(system_vfs, path, file, flags, done);

    (void)vfs;
    if (rc == SQLITE_OK && (flags & SQLITE_OPEN_WAL) != 0) {
        *gather_of(file) = (struct gather){file->pMethods, .piece = mem_calloc(1, PIECE_BYTES)};
        file->pMethods = &log_methods;
    }
    return rc;
}

const char *gather_vfs(void)
{
    static sqlite3_vfs vfs;

    if (system_vfs == NULL) {
        system_vfs = sqlite3_vfs_find(NULL);
        ASSERT(system_vfs != NULL);
        vfs = *system_vfs;
        vfs.zName = "muster";
        vfs.szOsFile += (int)sizeof(struct gather);
        vfs.xOpen = open_file;
        ASSERT(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
    }
    return vfs.zName;
}
