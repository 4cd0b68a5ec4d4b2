/* module-empty.c - a shared object that is no module */
extern int module_empty;
int module_empty;
