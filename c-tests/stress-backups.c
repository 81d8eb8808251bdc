/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests write to blocks that are dirty already in most of a node's fifty bitmaps, and each bitmap
 * has a backup job that cleans it in all the ways there are and copies what was dirty. Whenever all
 * threads stand still, each backup has the last of each block, or its bitmap says that it has not.
 */
#include "stress.h"

#define BITMAPS 50
#define BLOCK 65536 /* the coarsest granularity */
#define BLOCKS 512
#define SIZE ((int64_t)BLOCKS * BLOCK)
#define GUESTS 2
#define JOBS 2

typedef struct Backup {
    BdrvDirtyBitmap *bitmap;
    uint32_t granularity;
    gint copied[BLOCKS]; /* what the disk had when the block was copied */
} Backup;

typedef struct Disk {
    BlockDriverState *bs;
    gint versions[BLOCKS];
    Backup backups[BITMAPS];
    GMutex big_lock;
    gint stop;
} Disk;

typedef struct Job {
    Disk *disk;
    int first;
    uint32_t random;
    guint times;
} Job;

static uint32_t job_random(Job *job, uint32_t limit)
{
    job->random ^= job->random << 13;
    job->random ^= job->random >> 17;
    job->random ^= job->random << 5;
    return job->random % limit;
}

static gpointer guest(gpointer data)
{
    Job *job = data;
    Disk *disk = job->disk;

    while (!g_atomic_int_get(&disk->stop)) {
        /* Some blocks are hotter than others; now and then a write is long. */
        uint32_t block = job_random(job, job_random(job, 4) ? 8 : BLOCKS);
        uint32_t count = job_random(job, 64) ? 1 : 1 + job_random(job, BLOCKS - block);
        uint32_t offset = count == 1 ? job_random(job, BLOCK) : 0;

        for (uint32_t i = block; i < block + count; i++) {
            g_atomic_int_inc(&disk->versions[i]);
        }
        g_assert_false(bdrv_has_readonly_bitmaps(disk->bs));
        bdrv_set_dirty(disk->bs, (int64_t)block * BLOCK + offset,
                       count == 1 ? 1 + job_random(job, BLOCK - offset) : (int64_t)count * BLOCK);
        job->times++;
    }
    return NULL;
}

/* Copies the blocks that have a byte of the range. */
static void copy(Disk *disk, Backup *backup, int64_t offset, int64_t bytes)
{
    for (int64_t block = offset / BLOCK; block <= (offset + bytes - 1) / BLOCK; block++) {
        backup->copied[block] = g_atomic_int_get(&disk->versions[block]);
    }
}

static void copy_content(Disk *disk, Backup *backup, const HBitmap *content)
{
    int64_t at = 0, start, count;

    while (hbitmap_next_dirty_area(content, at, SIZE, INT64_MAX, &start, &count)) {
        copy(disk, backup, start, count);
        at = start + count;
    }
}

/* The content is taken out; sometimes by a transaction that restores it. */
static void by_clearing(Job *job, Backup *backup)
{
    HBitmap *content = NULL;

    bdrv_clear_dirty_bitmap(backup->bitmap, &content);
    if (job_random(job, 4) == 0) {
        /* What was written meanwhile is in neither: so all is copied, as after any loss. */
        bdrv_restore_dirty_bitmap(backup->bitmap, content);
        copy(job->disk, backup, 0, SIZE);
        return;
    }
    copy_content(job->disk, backup, content);
    hbitmap_free(content);
}

/* As mirror.c does: an area at a time. */
static void by_areas(Job *job, Backup *backup)
{
    int64_t at = 0, start, count;

    for (;;) {
        bdrv_dirty_bitmap_lock(backup->bitmap);
        if (!bdrv_dirty_bitmap_next_dirty_area(backup->bitmap, at, SIZE, 1 << 20, &start, &count)) {
            bdrv_dirty_bitmap_unlock(backup->bitmap);
            return;
        }
        bdrv_reset_dirty_bitmap_locked(backup->bitmap, start, count);
        bdrv_dirty_bitmap_unlock(backup->bitmap);
        copy(job->disk, backup, start, count);
        at = start + count;
    }
}

/* As backup.c does: the bitmap is frozen. */
static void by_successor(Job *job, Backup *backup)
{
    Disk *disk = job->disk;
    int64_t at = 0, start, count;

    g_mutex_lock(&disk->big_lock);
    g_assert_cmpint(bdrv_dirty_bitmap_create_successor(backup->bitmap, &error_abort), ==, 0);
    g_mutex_unlock(&disk->big_lock);
    if (job_random(job, 4)) {
        while (bdrv_dirty_bitmap_next_dirty_area(backup->bitmap, at, SIZE, INT64_MAX, &start,
                                                 &count)) {
            copy(disk, backup, start, count);
            at = start + count;
        }
        g_mutex_lock(&disk->big_lock);
        backup->bitmap = bdrv_dirty_bitmap_abdicate(backup->bitmap, &error_abort);
    } else {
        g_mutex_lock(&disk->big_lock);
        bdrv_reclaim_dirty_bitmap(backup->bitmap, &error_abort);
    }
    g_mutex_unlock(&disk->big_lock);
}

static BdrvDirtyBitmap *new_bitmap(Disk *disk, const Backup *backup)
{
    return bdrv_create_dirty_bitmap(disk->bs, backup->granularity, NULL, &error_abort);
}

/* A full backup of a bitmap that is new, enabled again, or loaded. */
static void by_copying_all(Job *job, Backup *backup)
{
    Disk *disk = job->disk;

    switch (job_random(job, 4)) {
    case 0:
        bdrv_disable_dirty_bitmap(backup->bitmap);
        bdrv_clear_dirty_bitmap(backup->bitmap, NULL);
        bdrv_enable_dirty_bitmap(backup->bitmap);
        break;
    case 1:
        g_mutex_lock(&disk->big_lock);
        bdrv_release_dirty_bitmap(backup->bitmap);
        backup->bitmap = new_bitmap(disk, backup);
        g_mutex_unlock(&disk->big_lock);
        break;
    case 2:
        bdrv_dirty_bitmap_deserialize_zeroes(backup->bitmap, 0, (uint64_t)SIZE, true);
        break;
    default:
        bdrv_clear_dirty_bitmap(backup->bitmap, NULL);
        break;
    }
    copy(disk, backup, 0, SIZE);
}

static gpointer backup_job(gpointer data)
{
    static void (*const ways[])(Job *, Backup *) = { by_clearing, by_areas, by_successor,
                                                     by_copying_all };
    Job *job = data;

    while (!g_atomic_int_get(&job->disk->stop)) {
        int own = job->first + JOBS * (int)job_random(job, BITMAPS / JOBS);

        ways[job_random(job, G_N_ELEMENTS(ways))](job, &job->disk->backups[own]);
        job->times++;
        /* So that blocks become dirty in all bitmaps now and then. */
        g_usleep(job_random(job, 300));
    }
    return NULL;
}

/* Each backup has the last of each block, or its bitmap knows that it has not. */
static void check(Disk *disk)
{
    for (int i = 0; i < BITMAPS; i++) {
        const Backup *backup = &disk->backups[i];

        for (int block = 0; block < BLOCKS; block++) {
            if (backup->copied[block] != disk->versions[block] &&
                bdrv_dirty_bitmap_next_dirty(backup->bitmap, (int64_t)block * BLOCK, BLOCK) < 0) {
                g_error("bitmap %d of granularity %u lacks a write to block %d", i,
                        backup->granularity, block);
            }
        }
    }
}

/*
 * Threads work for a few milliseconds, and then the logs are compared: soon, because later writes
 * hide a lost one.
 */
static void round_of_backups(Disk *disk, guint *writes, guint *backups)
{
    Job jobs[GUESTS + JOBS];
    GThread *threads[GUESTS + JOBS];

    g_atomic_int_set(&disk->stop, 0);
    for (int i = 0; i < GUESTS + JOBS; i++) {
        jobs[i] = (Job){ disk, i, 1 + g_test_rand_int_range(0, INT32_MAX), 0 };
        threads[i] = i < JOBS ? g_thread_new("backup", backup_job, &jobs[i])
                              : g_thread_new("guest", guest, &jobs[i]);
    }
    g_usleep(5000);
    g_atomic_int_set(&disk->stop, 1);
    for (int i = 0; i < GUESTS + JOBS; i++) {
        g_thread_join(threads[i]);
        *(i < JOBS ? backups : writes) += jobs[i].times;
    }
    check(disk);
}

void stress_backups(double seconds)
{
    gint64 end = g_get_monotonic_time() + (gint64)(seconds * G_USEC_PER_SEC);
    Disk *disk = g_new0(Disk, 1);
    guint writes = 0, backups = 0, rounds = 0;

    disk->bs = qdb_node_new(SIZE, 0, "disk");
    g_mutex_init(&disk->big_lock);
    for (int i = 0; i < BITMAPS; i++) {
        disk->backups[i].granularity = 4096u << i % 5;
        disk->backups[i].bitmap = new_bitmap(disk, &disk->backups[i]);
    }
    do {
        round_of_backups(disk, &writes, &backups);
        rounds++;
    } while (g_get_monotonic_time() < end);
    for (int i = 0; i < BITMAPS; i++) {
        bdrv_release_dirty_bitmap(disk->backups[i].bitmap);
    }
    g_test_message("%d bitmaps: %u rounds, %u writes, %u backups", BITMAPS, rounds, writes,
                   backups);
    qdb_node_free(disk->bs);
    g_mutex_clear(&disk->big_lock);
    g_free(disk);
}
