/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An nbdkit plugin: a disk over NBD that knows what changed in it since its last backup.
 * README.md says how to run it.
 */
#define NBDKIT_API_VERSION 2

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nbdkit-plugin.h>

#include "bitmap_file.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

static char *image_path, *bitmap_path;
static int64_t granularity = 65536;
static bool loaded; /* the bitmap, from bitmap_path */

static int image = -1;
static int64_t size;
static BlockDriverState *node; /* any thread records writes in it, see record() */
static BdrvDirtyBitmap *bitmap;
static unsigned backups; /* that began or ended */
/* The exports that end the backup that is under way, and ended the last one; "": there is none. */
static char done_name[40], last_done_name[40];
/* Held by who reads the last four, and exclusively by who changes them. */
static pthread_rwlock_t bitmap_lock = PTHREAD_RWLOCK_INITIALIZER;

/* To open one of the last two exports is a command. After "done-" is the backup's number. */
enum export { DISK, DIRTY, BACKUP_BEGIN, BACKUP_DONE, EXPORTS };
static const char *const export_names[EXPORTS] = {"", "dirty", "backup-begin", "backup-done-"};

struct client {
    enum export export;
    unsigned backup;
    int64_t number; /* of the backup that it began */
};

static int dirty_config(const char *key, const char *value)
{
    if (strcmp(key, "file") == 0) {
        free(image_path);
        return (image_path = nbdkit_realpath(value)) ? 0 : -1;
    }
    if (strcmp(key, "bitmap") == 0) {
        free(bitmap_path);
        return (bitmap_path = nbdkit_absolute_path(value)) ? 0 : -1;
    }
    if (strcmp(key, "granularity") == 0) {
        return (granularity = nbdkit_parse_size(value)) < 0 ? -1 : 0;
    }
    nbdkit_error("unknown parameter '%s'", key);
    return -1;
}

static int dirty_config_complete(void)
{
    if (!image_path) {
        nbdkit_error("file=IMAGE is needed");
        return -1;
    }
    return 0;
}

static bool open_image(void)
{
    struct stat about;

    image = open(image_path, O_RDWR | O_CLOEXEC);
    if (image < 0) {
        return complain_errno(image_path, "open it");
    }
    if (fstat(image, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size == 0) {
        nbdkit_error("%s: not a regular file that has content", image_path);
        return false;
    }
    size = about.st_size;
    /* Two servers that record writes know only half of them each. */
    return flock(image, LOCK_EX | LOCK_NB) == 0 || complain_errno(image_path, "lock it");
}

/* Without an old bitmap all counts as changed: the next backup is a full one. */
static bool new_bitmap(void)
{
    Error *error = NULL;

    bitmap = bdrv_create_dirty_bitmap(node, (uint32_t)granularity, "backup", &error);
    if (!bitmap) {
        return complain(image_path, error);
    }
    bdrv_set_dirty_bitmap(bitmap, 0, size);
    nbdkit_debug("all of the disk counts as changed");
    return true;
}

static int dirty_get_ready(void)
{
    Error *error = NULL;

    if (!open_image() || (bitmap_path && !bitmap_file_is_apart(bitmap_path, image))) {
        return -1;
    }
    if (!qdb_check_geometry(size, (uint64_t)granularity, &error)) {
        complain(image_path, error);
        return -1;
    }
    node = qdb_node_new(size, 0, "disk");
    if (bitmap_path && !bitmap_file_load(bitmap_path, image, node, &bitmap)) {
        return -1;
    }
    loaded = bitmap != NULL;
    if (!loaded && !new_bitmap()) {
        return -1;
    }
    /* Whatever the file said. */
    bdrv_enable_dirty_bitmap(bitmap);
    return 0;
}

/* Not before: nbdkit may find that it cannot serve. */
static int dirty_after_fork(void)
{
    bool good = !bitmap_path || (loaded ? bitmap_file_mark_in_use(bitmap_path)
                                        : bitmap_file_put_aside(bitmap_path));

    return good ? 0 : -1;
}

/* What an unfinished backup has, and what changed meanwhile, belong to the next one. */
static void end_unfinished_backup(void)
{
    if (bitmap && bdrv_dirty_bitmap_has_successor(bitmap)) {
        bitmap = bdrv_reclaim_dirty_bitmap(bitmap, &error_abort);
        done_name[0] = '\0';
    }
}

/*
 * With fsync or fdatasync. Linux reports a failed write-back once, and the next sync succeeds; here
 * all later ones fail too. The lock keeps a second one from passing before the first has failed.
 */
static int sync_image(int (*sync)(int))
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static int failed;
    int result;

    pthread_mutex_lock(&lock);
    if (sync(image) != 0) {
        failed = errno;
    }
    result = failed;
    pthread_mutex_unlock(&lock);
    errno = result;
    return result ? -1 : 0;
}

static void dirty_cleanup(void)
{
    end_unfinished_backup();
    /* The image first: what a backup reads later must be what the bitmap says. */
    if (bitmap_path && (sync_image(fsync) == 0 || complain_errno(image_path, "sync it"))) {
        bitmap_file_save(bitmap_path, image, bitmap);
    }
}

static void dirty_unload(void)
{
    if (bitmap) {
        end_unfinished_backup();
        bdrv_release_dirty_bitmap(bitmap);
    }
    qdb_node_free(node);
    if (image >= 0) {
        close(image);
    }
    free(image_path);
    free(bitmap_path);
}

/*
 * From here on "dirty" stands still, and what changes is the next backup's. A backup that is under
 * way is over: its program may have died. If it has not, it can't end this one, whose map it lacks.
 */
static bool begin_backup(struct client *client)
{
    Error *error = NULL;
    uint64_t number;

    /* No other backup has it, be it of an earlier server. 48 bits are exact in JSON too. */
    if (getrandom(&number, sizeof number, 0) != sizeof number) {
        return complain_errno(image_path, "number a backup of it");
    }
    end_unfinished_backup();
    backups++;
    if (bdrv_dirty_bitmap_create_successor(bitmap, &error) != 0) {
        return complain(image_path, error);
    }
    client->number = (int64_t)(number >> 16);
    snprintf(done_name, sizeof done_name, "%s%" PRId64, export_names[BACKUP_DONE],
             client->number);
    return true;
}

/* The client has stored the backup. */
static bool end_backup(const char *name)
{
    if (strcmp(name, last_done_name) == 0) {
        return true; /* many programs open an export twice, or come again if the network failed */
    }
    if (strcmp(name, done_name) != 0) {
        nbdkit_error("%s: this backup is not under way", name);
        return false;
    }
    /* Else the disk may lose what only the backup has. */
    if (sync_image(fsync) != 0) {
        return complain_errno(image_path, "sync it");
    }
    bitmap = bdrv_dirty_bitmap_abdicate(bitmap, &error_abort);
    backups++;
    memcpy(last_done_name, done_name, sizeof done_name);
    done_name[0] = '\0';
    return true;
}

static bool is_named(enum export export, const char *name)
{
    const char *known = export_names[export];

    return export == BACKUP_DONE ? strncmp(name, known, strlen(known)) == 0
                                 : strcmp(name, known) == 0;
}

static bool open_export(struct client *client, const char *name)
{
    bool good = true;

    while (client->export < EXPORTS && !is_named(client->export, name)) {
        client->export++;
    }
    if (client->export == EXPORTS) {
        nbdkit_error("no export '%s'", name);
        return false;
    }
    pthread_rwlock_wrlock(&bitmap_lock);
    if (client->export == BACKUP_BEGIN) {
        good = begin_backup(client);
    } else if (client->export == BACKUP_DONE) {
        good = end_backup(name);
    }
    client->backup = backups;
    pthread_rwlock_unlock(&bitmap_lock);
    return good;
}

static void *dirty_open(int readonly)
{
    const char *name = nbdkit_export_name();
    struct client *client = calloc(1, sizeof *client);

    (void)readonly;
    if (!name || !client || !open_export(client, name)) {
        free(client);
        return NULL;
    }
    return client;
}

static int dirty_list_exports(int readonly, int is_tls, struct nbdkit_exports *list)
{
    (void)readonly, (void)is_tls;
    /* Not the commands: who lists exports opens each of them. */
    return nbdkit_add_export(list, export_names[DISK], "the disk") ||
           nbdkit_add_export(list, export_names[DIRTY], "what changed") ? -1 : 0;
}

static int64_t dirty_get_size(void *handle)
{
    const struct client *client = handle;

    /* A number that programs show. */
    return client->export <= DIRTY ? size : client->number;
}

static int is_disk(void *handle)
{
    return ((struct client *)handle)->export == DISK;
}

static int is_dirty(void *handle)
{
    return ((struct client *)handle)->export == DIRTY;
}

/* All connections are to one file. */
static int dirty_can_multi_conn(void *handle)
{
    (void)handle;
    return 1;
}

static int io_result(ssize_t done, size_t count)
{
    if (done >= 0 && (size_t)done != count) {
        errno = EIO; /* another program has cut the file */
    }
    return (size_t)done == count || complain_errno(image_path, "read or write it") ? 0 : -1;
}

/* Whether a reader of "dirty" came before a backup began or ended. */
static bool is_stale(const struct client *client)
{
    if (client->backup == backups) {
        return false;
    }
    nbdkit_error("the backup that this client reads has ended");
    errno = ESTALE;
    return true;
}

/*
 * Clean bytes are shown as holes, so that programs leave them out. They read as the disk's all the
 * same: nbdcopy reads, and writes, beyond the end of an extent that has data.
 */
static int dirty_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
                         struct nbdkit_extents *list)
{
    const struct client *client = handle;
    uint64_t end = offset + count;
    int64_t run = 0;
    int result;

    pthread_rwlock_rdlock(&bitmap_lock);
    result = is_stale(client) ? -1 : 0;
    for (; result == 0 && offset < end; offset += (uint64_t)run) {
        int64_t left = (int64_t)(end - offset);
        bool dirty = bdrv_dirty_bitmap_status(bitmap, (int64_t)offset, left, &run);

        result = nbdkit_add_extent(list, offset, (uint64_t)run,
                                   dirty ? 0 : NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO);
        if (flags & NBDKIT_FLAG_REQ_ONE) {
            break;
        }
    }
    pthread_rwlock_unlock(&bitmap_lock);
    return result;
}

static int dirty_pread(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
    const struct client *client = handle;
    bool stale = false;

    (void)flags;
    if (client->export == DIRTY) {
        pthread_rwlock_rdlock(&bitmap_lock);
        stale = is_stale(client);
        pthread_rwlock_unlock(&bitmap_lock);
    } else if (client->export != DISK) {
        nbdkit_error("'%s' has no content", export_names[client->export]);
        errno = EINVAL;
        stale = true;
    }
    return stale ? -1 : io_result(pread(image, buffer, count, (off_t)offset), count);
}

/*
 * A change is recorded after it is in the image and before the client hears of it. Recorded first,
 * it may be in the bitmap that a backup freezes, and in the image after the backup has read that
 * block. One that failed is recorded too: part of it may be there.
 *
 * The node has a lock of its own, so requests in parallel need none of the plugin's.
 */
static void record(uint64_t offset, uint32_t count)
{
    int saved_errno = errno;

    bdrv_set_dirty(node, (int64_t)offset, count);
    errno = saved_errno;
}

static int dirty_pwrite(void *handle, const void *buffer, uint32_t count, uint64_t offset,
                        uint32_t flags)
{
    const char *from = buffer;
    uint32_t done = 0;
    ssize_t result;

    (void)handle, (void)flags;
    /* A full disk takes the beginning, and says why when it is asked for the rest. */
    do {
        result = pwrite(image, from + done, count - done, (off_t)(offset + done));
        done += result > 0 ? (uint32_t)result : 0;
    } while (result > 0 && done < count);
    record(offset, count);
    return io_result(result < 0 ? result : done, count);
}

static int punch(int mode, uint32_t count, uint64_t offset)
{
    int result = fallocate(image, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, count);

    record(offset, count);
    return result;
}

static int dirty_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)handle, (void)flags;
    /* It is a hint, which not all file systems take. */
    return punch(FALLOC_FL_PUNCH_HOLE, count, offset) == 0 || errno == EOPNOTSUPP ? 0 : -1;
}

static int dirty_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    int mode = flags & NBDKIT_FLAG_MAY_TRIM ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;

    (void)handle;
    /* After EOPNOTSUPP nbdkit writes zeroes. */
    return punch(mode, count, offset);
}

static int dirty_flush(void *handle, uint32_t flags)
{
    (void)handle, (void)flags;
    return sync_image(fdatasync);
}

static struct nbdkit_plugin plugin = {
    .name = "dirty",
    .longname = "a disk that knows what changed in it",
    .magic_config_key = "file",
    .config_help = "file=IMAGE        the disk, a raw image\n"
                   "bitmap=FILE       keeps the bitmap from one run to the next\n"
                   "granularity=SIZE  bytes that a bit of a new bitmap stands for (64K)",
    .errno_is_preserved = 1,
    .config = dirty_config,
    .config_complete = dirty_config_complete,
    .get_ready = dirty_get_ready,
    .after_fork = dirty_after_fork,
    .cleanup = dirty_cleanup,
    .unload = dirty_unload,
    .list_exports = dirty_list_exports,
    .open = dirty_open,
    .close = free,
    .get_size = dirty_get_size,
    .can_write = is_disk,
    .can_multi_conn = dirty_can_multi_conn,
    .can_extents = is_dirty,
    .pread = dirty_pread,
    .pwrite = dirty_pwrite,
    .trim = dirty_trim,
    .zero = dirty_zero,
    .flush = dirty_flush,
    .extents = dirty_extents,
};

NBDKIT_REGISTER_PLUGIN(plugin)
