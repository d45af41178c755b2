/* From reset to main() on a Cortex-M7 under QEMU: files and arguments come from the host by semihosting. */
#include <stdint.h>
#include <stdlib.h>

extern uint32_t stack_top, bss_start, bss_end;
extern void initialise_monitor_handles(void);
extern int main(int argc, char **argv);

void _fini(void) {} /* the C library calls it at exit */

enum { SYS_GET_CMDLINE = 0x15, MOST_ARGUMENTS = 8 };

static int ask_host(int what, void *argument) {
  register int number __asm__("r0") = what;
  register void *pointer __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(number) : "r"(pointer) : "memory");
  return number;
}

static void run(void) {
  static char line[1024];
  static char *arguments[MOST_ARGUMENTS + 1];
  struct {
    char *text;
    int length;
  } request = {line, sizeof line};
  int count = 0;
  if (ask_host(SYS_GET_CMDLINE, &request) == 0)
    for (char *at = line; *at && count < MOST_ARGUMENTS;) {
      arguments[count++] = at;
      while (*at && *at != ' ') ++at;
      if (*at) *at++ = 0;
    }
  exit(main(count, arguments));
}

void reset(void) {
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* the floating-point unit is off after reset */
  __asm__ volatile("dsb\n isb");
  for (uint32_t *word = &bss_start; word < &bss_end; ++word) *word = 0;
  initialise_monitor_handles();
  run();
}

static void fault(void) {
  exit(99);
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &stack_top, reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, fault,
};
