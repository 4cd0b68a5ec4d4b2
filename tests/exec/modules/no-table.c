/* no-table.c - a shared object, but no module */
int not_a_module(void);

int not_a_module(void) {
        return 1;
}
