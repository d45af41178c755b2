/* The generated tables of this parser, in tables.c. */
#ifndef PQRNN_TABLES_H
#define PQRNN_TABLES_H

#include "player.h"

extern const pqrnn_module pqrnn_tables;
extern const pqrnn_step pqrnn_steps[];
extern const pqrnn_step pqrnn_setup[]; /* run once */
extern const uint32_t pqrnn_setup_count;
extern const pqrnn_entry pqrnn_entries[];

#endif
