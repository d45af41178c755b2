/* A plugin for QEMU that counts executed instructions: all of them, and those of code that lies in no file, which is what a compiled module is once it
 * is loaded. Argument: the file that the two numbers are written to at the end.
 *
 * The few declarations of QEMU's plugin interface (version 1, docs/devel/tcg-plugins) that are used are repeated here: Debian ships no header for it.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t number);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *instruction);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, enum qemu_plugin_op op, void *counter, uint64_t amount);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, void *), void *data);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

static uint64_t all, generated;
static char result[4096];

/* Whether an address of this process belongs to memory that was mapped from no file. */
static bool without_file(uint64_t address)
{
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        uint64_t begin, end, inode;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %" SCNu64, &begin, &end, &inode) == 3 && begin <= address && address < end) {
            found = inode == 0;
            break;
        }
    }
    if (maps)
        fclose(maps);
    return found;
}

/* Called when a block of instructions is first met; from then on each run of it adds its length. */
static void on_block(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    size_t length = qemu_plugin_tb_n_insns(block);
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &all, length);
    if (without_file((uint64_t)(uintptr_t)qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(block, 0))))
        qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &generated, length);
}

static void on_exit(qemu_plugin_id_t id, void *data)
{
    FILE *file = fopen(result, "w");
    (void)id;
    (void)data;
    if (file) {
        fprintf(file, "%" PRIu64 " %" PRIu64 "\n", all, generated);
        fclose(file);
    }
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    const char *path = argc == 1 ? strchr(argv[0], '=') : NULL;
    (void)info;
    if (!path || strlen(path + 1) >= sizeof result)
        return 1;
    strcpy(result, path + 1);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    qemu_plugin_register_atexit_cb(id, on_exit, NULL);
    return 0;
}
