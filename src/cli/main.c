#include <stdio.h>
int main(void) { puts("moongate"); return 0; }
