/* l_task.h - the parts of module "task": l_task.c, l_task_group.c, l_semaphore.c. */
#ifndef MOONGATE_L_TASK_H
#define MOONGATE_L_TASK_H

#include "moongate/task.h"

/* Seconds at idx as nanoseconds; raises unless it is a number from 0 to ten years. */
int64_t task_seconds(lua_State *L, int idx);
/* Before lua_yieldk: parks the current task; leave undoes its wait. */
void task_wait(lua_State *L, struct moon_task *me, void (*leave)(struct moon_task *me));
/* First thing of a continuation. */
void task_waited(struct moon_task *me);
/* Starts the task's own timer, which wakes it. Raises. */
void task_timer(lua_State *L, struct moon_task *me, int64_t ns);
/* Timer callback and watch callback: wakes the task `ud`. */
void task_wake_me(void *ud);
int task_fail_timeout(lua_State *L, const char *what, int64_t ns);

int l_task_all(lua_State *L);
int l_task_map(lua_State *L);
int l_task_semaphore(lua_State *L);
void l_task_group_setup(lua_State *L);
void l_semaphore_setup(lua_State *L);

#endif
